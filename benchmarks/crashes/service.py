"""The stream as a process in a session of its own: only what was started here is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
from payments import ALERTS, CUTOVER, World

FILES_PER_BATCH = 2
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
PROPERTIES = {
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": SHORT_LIVED,
    "spark.sql.shuffle.partitions": "2",
}
CLUSTER = {
    "spark.executor.cores": "1",
    "spark.executor.memory": "1g",
    "spark.executor.extraJavaOptions": SHORT_LIVED,
    "spark.cores.max": "2",
    "spark.executorEnv.SPARK_LOCAL_IP": "127.0.0.1",
}


class Service:
    """`fraudlake stream` on a campaign's folder; the context ends it."""

    def __init__(self, world: World, master: str, control: bool) -> None:
        self.world, self.folder, self.master = world, world.folder, master
        self.clustered = not master.startswith("local")
        more = CLUSTER if self.clustered else {}
        properties = {"spark.master": master, **PROPERTIES, **more}
        settings = {"folder": str(self.folder), "control": control, "properties": properties}
        self._command = [
            sys.executable, str(Path(__file__).with_name("launcher.py")), json.dumps(settings),
            f"lake={world.lake}", f"dataset={world.dataset}", f"input={world.input}",
            f"alerts={ALERTS}", f"max_files_per_batch={FILES_PER_BATCH}",
            f"from={CUTOVER.isoformat()}",
        ]  # fmt: skip
        self._process: subprocess.Popen | None = None
        self.starts = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self, *words: str) -> None:
        with (self.folder / "stream.log").open("a") as log:
            self._process = subprocess.Popen(
                [*self._command, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    def code(self) -> int | None:
        """Exit code, of a signal negative; None while it runs."""
        return self._process.poll()

    def runs(self) -> bool:
        return self._process is not None and self.code() is None

    def kill(self) -> None:
        """SIGKILL for driver and Java; then until all that they started has ended."""
        if self._process is None:
            return
        if self.runs():
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + 10
        while (left := [*self.members(), *self.executors()]) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in left:
            process.kill()

    def members(self) -> list[psutil.Process]:
        """All processes of the service's session."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self._process.pid:
                    found.append(process)
            except ProcessLookupError:
                continue
        return found

    def executors(self) -> list[psutil.Process]:
        """Executor JVMs of this application, which the cluster's workers have started."""
        name = self.folder / "application"
        if not self.clustered or not name.exists():
            return []
        wanted = {name.read_text(), "org.apache.spark.executor.CoarseGrainedExecutorBackend"}
        return [
            p for p in psutil.process_iter(["cmdline"]) if wanted <= {*(p.info["cmdline"] or ())}
        ]

    def python_workers(self) -> list[psutil.Process]:
        near = self.members()
        for executor in self.executors():
            near += executor.children(recursive=True)
        return [p for p in near if "pyspark.daemon" in _words(p)]

    def passed(self) -> Counter:
        """Passes of each place by the process that runs."""
        path = self.folder / "passed"
        lines = path.read_text().splitlines() if path.exists() else []
        mark = f"{self._process.pid}:"
        return Counter(line.removeprefix(mark) for line in lines if line.startswith(mark))

    def batches(self) -> int:
        """Micro-batches that Spark has committed."""
        commits = self.world.lake.glob("_stream/checkpoint/commits/[0-9]*")
        return 1 + max((int(path.name) for path in commits), default=-1)

    def last_words(self) -> str:
        return "\n".join((self.folder / "stream.log").read_text().splitlines()[-25:])


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
