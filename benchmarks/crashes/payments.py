"""What the stream is fed and knows: made-up payments, a lake of their history, three models."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

START = datetime(2018, 4, 1, tzinfo=UTC)
CUTOVER = START + timedelta(days=40)
LIVE = timedelta(days=6)  # below the label's delay: labels of what is live never count
ALERTS = 4
VERSIONS = 3
SLICES = 16  # commits to `labels` while the stream runs
PER_FILE = 8
DATASET = """\
format: jsonl
timezone: UTC
columns:
  tx_id: {source: TRANSACTION_ID, type: bigint, minimum: 0}
  event_time: {source: TX_DATETIME, type: timestamp}
  customer_id: {source: CUSTOMER_ID, type: bigint, minimum: 0}
  terminal_id: {source: TERMINAL_ID, type: bigint, minimum: 0}
  amount: {source: TX_AMOUNT, type: "decimal(18,2)", minimum: 0}
entities: {customer: customer_id, terminal: terminal_id}
card: customer_id
label: {source: TX_FRAUD, delay: 7d}
"""


def records(random: np.random.Generator, ids: np.ndarray, start: datetime, span: timedelta):
    """One payment for each identifier, in event order; some share a second."""
    n = len(ids)
    seconds = np.sort(random.integers(0, int(span.total_seconds()), n))
    rows = zip(
        seconds.tolist(), ids.tolist(), random.integers(0, 40, n).tolist(),
        random.integers(0, 25, n).tolist(), random.integers(1, 30000, n).tolist(),
        (random.random(n) < 0.1).tolist(), strict=True,
    )  # fmt: skip
    return [
        {
            "TRANSACTION_ID": tx_id,
            "TX_DATETIME": (start + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S"),
            "CUSTOMER_ID": customer,
            "TERMINAL_ID": terminal,
            "TX_AMOUNT": f"{cents / 100:.2f}",
            "TX_FRAUD": int(fraud),
        }
        for second, tx_id, customer, terminal, cents, fraud in sorted(rows)
    ]


def history() -> list[dict]:
    random = np.random.default_rng(1)
    return records(random, random.permutation(2400), START, CUTOVER - START)


def live_files(seed: int, number: int) -> list[list[dict]]:
    """Payments in event order, a few a file; doubles, of days before too; broken records."""
    random = np.random.default_rng(seed)
    ids = 10_000 + random.permutation(number * PER_FILE)
    known, files = history(), []
    fresh = records(random, ids, CUTOVER, LIVE)
    for at in range(0, len(fresh), PER_FILE):
        rows = fresh[at : at + PER_FILE]
        known += rows
        content = list(rows)
        if random.random() < 0.5:
            content.append(known[random.integers(len(known))])
        if random.random() < 0.2:
            content.append(rows[0])
        if random.random() < 0.4:
            content.append(rows[0] | {"TRANSACTION_ID": 10**9 + at, "TX_AMOUNT": "abc"})
        files.append(content)
    return files


def bundles() -> dict[int, dict[str, bytes]]:
    """Version → a boosted model on the Handbook's features that flags some of the payments."""
    import xgboost

    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.models import bundle
    from fraudlake.models.calibration import Calibration

    feature_set = load_feature_set("handbook")
    names = [feature.name for feature in feature_set.features]
    parameters = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1}
    made = {}
    for version in range(1, VERSIONS + 1):
        random = np.random.default_rng(version)
        x = random.random((4000, len(names))) * [300, 1, 1, *[9, 200] * 3, *[30, 0.4] * 3]
        y = random.random(4000) < 1 / (1 + np.exp(4 - x[:, 0] / 100 - 8 * x[:, -1]))
        weights = xgboost.train(parameters, xgboost.DMatrix(x, y), 10).save_raw("ubj")
        made[version] = bundle.pack(
            "xgboost", dict.fromkeys(names), feature_set.hash, timedelta(days=7), bytes(weights),
            Calibration(slope=1.0, intercept=0.1), [0.9, 0.5, 0.3, 0.2 + version / 50], 1.0, {},
        )  # fmt: skip
    return made


class World:
    """The folder of a campaign.

    `template` has the lake's tables before the stream, `lake` those it writes, `lake-mlflow` its
    models, `history` and `input` the raw records.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.template, self.lake, self.input = (
            self.folder / name for name in ("template", "lake", "input")
        )
        self.dataset = self.folder / "payments.yaml"
        self.files = 0
        self._hidden: list[Path] = []
        self._files: list[list[dict]] = []

    def stands(self) -> bool:
        return (self.folder / "made").exists()

    def make(self, spark) -> None:
        """Template and models, anew."""
        from pyspark.sql import functions as F

        from fraudlake.datasets import load_dataset
        from fraudlake.ingest.pipeline import ingest
        from fraudlake.instants import time_range
        from fraudlake.lake import Lake
        from fraudlake.lake.tables import LABELS
        from fraudlake.registry import Registry

        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "history").mkdir(parents=True)
        self.dataset.write_text(DATASET)
        _write(self.folder / "history" / "history.jsonl", history())
        lake = Lake(spark, str(self.template))
        ingest(lake, load_dataset(str(self.dataset)), str(self.folder / "history"))
        told = lake.read(LABELS)
        rows = spark.createDataFrame(told.toArrow(), told.schema)
        shutil.rmtree(self.template / "labels")
        lake.create(LABELS)
        lake.append_once(LABELS, rows.where(time_range(None, CUTOVER, "known_at")), "told", 0)
        for number in range(SLICES):
            start, end = CUTOVER + LIVE / SLICES * number, CUTOVER + LIVE / SLICES * (number + 1)
            end = end if number < SLICES - 1 else None
            told = rows.where(F.expr(time_range(start, end, "known_at")))
            lake.append_once(LABELS, told, "told", number + 1)
        registry = Registry(str(self.lake))
        for version, files in bundles().items():
            registry.register(
                files, contender="xgboost", fingerprint=str(version), parameters={}, metrics={},
                tags={}, plots={}, config={},
            )  # fmt: skip
        (self.folder / "made").touch()

    def begin(self, seed: int, files: int) -> None:
        """A lake without scores, nothing fed, most of the labels not known yet."""
        for path in (self.lake, self.input, self.folder / "batch"):
            shutil.rmtree(path, ignore_errors=True)
        for name in ("passed", "armed", "stream.log"):
            (self.folder / name).unlink(missing_ok=True)
        self.input.mkdir()
        for name in ("transactions", "labels"):
            shutil.copytree(self.template / name, self.lake / name)
        log = self.lake / "labels" / "_delta_log"
        for path in [*log.glob("*checkpoint*"), *log.glob("*.crc"), *log.glob(".*.crc")]:
            path.unlink(missing_ok=True)
        commits = sorted(log.glob("*.json"))[-SLICES:]
        self._hidden = [path.rename(path.with_suffix(".hidden")) for path in commits]
        self._files = live_files(seed, files)

    def tell_labels(self) -> bool:
        """One commit more to `labels`, as if another job made it; whether there was one."""
        if not self._hidden:
            return False
        path = self._hidden.pop(0)
        path.rename(path.with_suffix(".json"))
        return True

    def feed(self) -> bool:
        """One file more in the stream's input, in event order; whether there was one."""
        if not self._files:
            return False
        rows = self._files.pop(0)
        newest = datetime.fromisoformat(max(row["TX_DATETIME"] for row in rows) + "+00:00")
        # What is known of frauds at a payment's time is in the table before the payment comes.
        while (
            CUTOVER + LIVE / SLICES * (SLICES - len(self._hidden)) <= newest and self.tell_labels()
        ):
            pass
        path = _write(self.folder / "next", rows)
        path.rename(self.input / f"{self.files:06d}.jsonl")
        self.files += 1
        return True

    def fed(self) -> list[dict]:
        """All records that the stream was given."""
        files = sorted(self.input.glob("*.jsonl"))
        return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def _write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
