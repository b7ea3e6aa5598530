"""The incremental build: what came touches some rows; these are made right, the others stay."""

import logging
import shutil
from datetime import UTC, date, datetime, timedelta

import pytest
from delta.tables import DeltaTable

from fraudlake import job
from fraudlake.datasets import load_dataset
from fraudlake.errors import DataError
from fraudlake.features.batch.compute import compute
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.table import arrivals, layout
from fraudlake.features.table.arrivals import WholeBuildError
from fraudlake.features.table.build import build
from fraudlake.features.table.increment import _ranges
from fraudlake.lake import Lake
from fraudlake.lake.tables import (
    FEATURES,
    FLAGGED,
    LABELS,
    METRICS,
    REASONS_TYPE,
    SCORES,
    TRANSACTIONS,
)

START = datetime(2018, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DATASET = load_dataset("handbook")
SET = """
features:
  - column: amount
  - entity: customer
    operations: [count, {mean: amount}]
    windows: [6h, 2d]
  - entity: terminal
    operations: [count, {rate: fraud}]
    windows: [1d, 3d]
    delay: 7d
  - entity: [customer, terminal]
    operations: [count]
    windows: [5d]
"""


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    path = tmp_path_factory.mktemp("sets") / "short.yaml"
    path.write_text(SET)
    return load_feature_set(str(path))


def add(lake, table, rows):
    kinds = {**table.columns, "customer_id": "bigint", "terminal_id": "bigint"}
    names = lake.read(table).columns
    rows = [{name: row.get(name) for name in names} for row in rows]
    frame = lake.spark.createDataFrame(rows, ", ".join(f"{n} {kinds[n]}" for n in names))
    frame.coalesce(1).write.format("delta").mode("append").save(lake.path(table))


@pytest.fixture(scope="module")
def parts(spark, world, features, tmp_path_factory):
    """A lake built; and what was kept back: late rows, some labels, the last days."""
    transactions, labels = world(4, rows=600, customers=40, terminals=30)
    lake = Lake(spark, str(tmp_path_factory.mktemp("parts") / "lake"))
    lake.create(TRANSACTIONS, {"customer_id": "bigint", "terminal_id": "bigint"})
    lake.create(LABELS)
    last = [r for r in transactions if r["event_time"] >= START + 35 * DAY]
    late = [r for r in transactions if r not in last and r["tx_id"] % 40 == 0]
    said = labels[:15]
    add(lake, TRANSACTIONS, [r for r in transactions if r not in last and r not in late])
    add(lake, LABELS, labels[15:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "_FILE_ROWS", 100)
        build(lake, features, DATASET)
    return lake, late, said, last


@pytest.fixture
def lake(parts, tmp_path):
    """A copy of the built lake."""
    shutil.copytree(parts[0].root, tmp_path / "lake")
    return Lake(parts[0].spark, str(tmp_path / "lake"))


def content(frame):
    return {row["tx_id"]: tuple(row) for row in frame.collect()}


def fresh(lake, features):
    """What a first build would give."""
    rows = lake.read(TRANSACTIONS)
    nothing = rows.where("false")
    made = compute(rows, lambda _: nothing, lake.read(LABELS), features, DATASET.entities)
    return content(made.select(*lake.read(FEATURES).columns))


def standing(lake):
    return content(lake.read(FEATURES))


def files(lake, before):
    return set(lake.read(FEATURES).where(f"event_time < '{before:%F}'").inputFiles())


def test_new_days_then_late_rows_and_labels_touch_only_what_they_must(lake, features, parts):
    _, late, said, last = parts
    built, untouched = standing(lake), files(lake, START + 20 * DAY)
    assert len(files(lake, START + 99 * DAY)) == 5
    assert len(files(lake, START + 2 * DAY)) == 1

    add(lake, TRANSACTIONS, last)
    result = build(lake, features, DATASET)
    after = standing(lake)
    assert after == fresh(lake, features)
    assert (result["new"], result["updated"]) == (len(last), 0)
    assert files(lake, START + 20 * DAY) == untouched
    assert all(after[tx_id] == row for tx_id, row in built.items())

    scored(lake)
    add(lake, TRANSACTIONS, late)
    add(lake, LABELS, said)
    result = job.call(
        "features", lake.spark, lake=lake.root, features=features.name, dataset="handbook"
    )
    right, before = standing(lake), after
    changed = {tx_id for tx_id, row in before.items() if right[tx_id] != row}
    assert right == fresh(lake, features)
    assert len(changed) > 10
    assert result["rows"] == 600
    assert result["new"] == len(late)
    assert result["updated"] == result["scores_affected"] == len(changed)
    assert result["flagged_affected"] == sum(tx_id % 3 == 0 for tx_id in changed)
    wanted = {
        n: float(result[n]) for n in ("new", "updated", "scores_affected", "flagged_affected")
    }
    measured = lake.read(METRICS).where("job = 'features'").collect()
    assert wanted.items() <= {row["name"]: row["value"] for row in measured}.items()

    version = lake.version(FEATURES)
    assert not build(lake, features, DATASET)["changed"]
    # A statement that an honest transaction is honest changes nothing.
    honest = {row["tx_id"] for row in lake.read(TRANSACTIONS).select("tx_id").collect()}
    honest -= {row["tx_id"] for row in lake.read(LABELS).where("is_fraud").collect()}
    said = {"tx_id": min(honest), "is_fraud": False, "known_at": START, "source": "x"}
    add(lake, LABELS, [said])
    result = build(lake, features, DATASET)
    assert (result["changed"], result["new"], result["updated"]) == (False, 0, 0)
    assert lake.version(FEATURES) == version


def test_a_table_that_spark_must_write_gets_the_same(lake, features, parts):
    _, late, said, last = parts
    rule = "ADD CONSTRAINT positive CHECK (customer_count_6h > 0)"
    lake.spark.sql(f"ALTER TABLE {lake.reference(FEATURES)} {rule}")
    assert lake.file_writer(FEATURES) is None
    add(lake, TRANSACTIONS, late + last)
    add(lake, LABELS, said)
    before = standing(lake)
    result = build(lake, features, DATASET)
    right = standing(lake)
    assert right == fresh(lake, features)
    assert result["new"] == len(late + last)
    assert result["updated"] == sum(right[tx_id] != row for tx_id, row in before.items()) > 10


def test_a_commit_of_others_meanwhile_refuses_the_increment(lake, features, parts, monkeypatch):
    _, late, _, _ = parts
    add(lake, TRANSACTIONS, late)
    write = Lake.replace_files

    def beside(own, *rest):
        with lake.noted(built=None):
            DeltaTable.forPath(lake.spark, lake.path(FEATURES)).delete("tx_id % 9 = 0")
        write(own, *rest)

    monkeypatch.setattr(Lake, "replace_files", beside)
    with pytest.raises(DataError, match="a commit of others while the job ran"):
        build(lake, features, DATASET)
    monkeypatch.undo()
    # The deleted rows are no increment's business: the table is built whole.
    assert "new" not in build(lake, features, DATASET)
    assert standing(lake) == fresh(lake, features)


def scored(lake):
    """Every transaction scored, every third flagged."""
    rows = lake.read(FEATURES).selectExpr(
        "tx_id", "event_time", "CAST(.5 AS double) AS score", "1 AS model_version"
    )
    lake.create(SCORES)
    lake.create(FLAGGED)
    rows.write.format("delta").mode("append").save(lake.path(SCORES))
    reasons = f"CAST(array() AS {REASONS_TYPE}) AS reasons"
    flags = rows.where("tx_id % 3 = 0").selectExpr("*", "score AS threshold", reasons)
    flags.write.format("delta").mode("append").save(lake.path(FLAGGED))


def test_an_increment_cut_off_before_its_commit_is_done_by_the_next_run(
    lake, features, parts, monkeypatch
):
    _, late, said, _ = parts
    add(lake, TRANSACTIONS, late)
    add(lake, LABELS, said)
    before = standing(lake)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Lake, "replace_files", killed)
    with pytest.raises(KeyboardInterrupt):
        build(lake, features, DATASET)
    monkeypatch.undo()
    assert standing(lake) == before
    # Days of the range are right already when the whole is brought up to date.
    build(lake, features, DATASET, START + 10 * DAY, START + 12 * DAY)
    result = build(lake, features, DATASET)
    assert result["updated"] > 0
    assert standing(lake) == fresh(lake, features)


def test_what_was_not_appended_is_built_whole_and_the_log_says_why(lake, features, parts, caplog):
    _, late, _, _ = parts
    caplog.set_level(logging.INFO, "fraudlake")

    def whole(reason):
        caplog.clear()
        result = build(lake, features, DATASET)
        assert f"building the whole table: {reason}" in caplog.text
        assert "new" not in result
        assert standing(lake) == fresh(lake, features)

    some = lake.read(TRANSACTIONS).first()["tx_id"]
    DeltaTable.forPath(lake.spark, lake.path(TRANSACTIONS)).delete(f"tx_id = {some}")
    whole("rows of transactions were changed or deleted")
    DeltaTable.forPath(lake.spark, lake.path(FEATURES)).delete("tx_id % 9 = 0")
    whole("no build of the whole table stands unchanged")
    feed = "SET TBLPROPERTIES (delta.enableChangeDataFeed = false)"
    lake.spark.sql(f"ALTER TABLE {lake.reference(TRANSACTIONS)} {feed}")
    # What appends have brought is in their files, with a feed or without.
    add(lake, TRANSACTIONS, late)
    assert build(lake, features, DATASET)["new"] == len(late)
    assert standing(lake) == fresh(lake, features)
    DeltaTable.forPath(lake.spark, lake.path(TRANSACTIONS)).delete(f"tx_id = {some + 1}")
    whole("what came to transactions cannot be read any more: [DELTA_MISSING_CHANGE_DATA]")


def test_an_increment_of_most_rows_is_refused(lake, features, parts, monkeypatch):
    since = lake.version(TRANSACTIONS)
    add(lake, TRANSACTIONS, parts[1])
    monkeypatch.setattr(arrivals, "_MOST", 0.02)
    versions = ({"transactions": since}, {"transactions": since + 1})
    with pytest.raises(WholeBuildError, match="12 of 504 rows are new"):
        arrivals.arrivals(lake, features, DATASET.entities, *versions)


def test_days_become_a_few_ranges():
    first = date(2018, 4, 1)
    assert _ranges([]) == "false"
    assert _ranges([first]) == (
        "(event_time >= TIMESTAMP '2018-04-01T00:00:00+00:00'"
        " AND event_time < TIMESTAMP '2018-04-02T00:00:00+00:00')"
    )
    every_other = [first + 2 * DAY * n for n in range(5000)]
    assert _ranges(every_other).count(" OR ") < 100
    apart = [first, first + DAY, first + 9 * DAY]
    assert _ranges(apart).count(" OR ") == 1
    assert "2018-04-03" in _ranges(apart)
