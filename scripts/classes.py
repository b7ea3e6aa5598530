"""Make the archive of Java classes from which `fraudlake JOB` starts on one machine.

    JAVA_HOME=... .venv/bin/python scripts/classes.py      (make setup)

Java reads, checks and links some 20,000 classes of Spark and Delta at every start. A job runs here
once, and what it used is kept as Java itself keeps classes (class data sharing): beside Spark's
JARs, 200 MB. Java leaves the archive alone where it is for other JARs or another Java, and any job
runs without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from fraudlake import job, session


def main() -> None:
    """Run small jobs, and let Java write down what it has loaded when it ends."""
    folder = session.start_folder()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "conf").mkdir(parents=True)
    (folder / "java-home").write_text(os.environ["JAVA_HOME"])
    with tempfile.TemporaryDirectory() as work:
        dump = f'"-XX:ArchiveClassesAtExit={folder / "new"}"'
        options = {"spark.driver.extraJavaOptions": dump}
        spark = session.open_spark("classes", light=True, **options)
        raw, lake = f"{work}/raw", f"{work}/lake"
        job.call("simulate", spark, output=raw, customers=500, merchants=200, days=10)
        job.call("ingest", spark, lake=lake, dataset="simulated", input=f"{raw}/*")
        job.call("features", spark, lake=lake)
        gateway: Any = spark.sparkContext._gateway  # noqa: SLF001
        command = Path(f"/proc/{gateway.proc.pid}/cmdline").read_text().split("\0")
        spark.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(120)
    # Java ends at once over an archive that is cut off: it is looked through here, with the same
    # class path, and its size is compared before each use.
    sums = ["-Xshare:on", "-XX:+VerifySharedSpaces", f"-XX:SharedArchiveFile={folder / 'new'}"]
    path = command[command.index("-cp") + 1]
    subprocess.run([command[0], "-cp", path, *sums, "-version"], check=True)
    (folder / "size").write_text(str((folder / "new").stat().st_size))
    (folder / "new").rename(folder / "classes.jsa")


if __name__ == "__main__":
    main()
