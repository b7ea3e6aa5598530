"""Arguments: merged, checked, all problems at once, before anything heavy is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from pydantic import Field

from fraudlake import instants, job, names, options, resources, session
from fraudlake.errors import ConfigError

WRONG = {
    "ingest dataset=handbok input=/nowhere": [
        "dataset: got 'handbok'",
        "did you mean handbook?",
        "input:",
    ],
    "ingest dataset=handbook": ["input: missing"],
    "ingest lak=x dataset=handbook input=.": ["lak: unknown key", "did you mean lake?"],
    "features from=tomorrow to=1.8.2018": ["from: got 'tomorrow'", "to: got '1.8.2018'"],
    "features features=handbook.yaml": ["features: got 'handbook.yaml'", "a YAML file that exists"],
    "train model=xgbost train_from=2018-07-25": ["model: got 'xgbost'", "train_to: missing"],
    "train train_from=2018-07-25 train_to=2018-08-01 delay=soon": ["delay: got 'soon'"],
    "score alerts=many from=2018-13-01": [
        "alerts: got 'many', expected a whole number",
        "from: got",
    ],
    "score alerts=0 --config nothing.yaml": ["alerts: got '0'", "--config: got 'nothing.yaml'"],
    "stream dataset=handbook input=. replay=6x trigger=fast": [
        "replay: got '6x'",
        "trigger: got 'fast'",
    ],
    "stream dataset=handbook input=. bad=0.1 files=3 records=10 trigger=fast": [
        "bad: got its former name, expected max_bad_share=",
        "files: got its former name, expected max_files_per_batch=",
        "records: got its former name, expected max_records_per_batch=",
        "trigger: got 'fast'",
    ],
    "serve dataset=handbook lake=s3://bucket/lake listen=x batch=0 state=/nowhere": [
        "listen: got 'x', expected a port",
        "batch: got '0'",
        "state: got '/nowhere'",
    ],
    "serve dataset=handbook lake=s3://bucket/lake": ["state: got none"],
    "simulate customers=-5 days=none": ["customers: got '-5'", "days: got 'none'"],
    "score from=2018-08-08 to=2018-08-08 alerts=many": [
        "to: got 2018-08-08, expected an instant after from (2018-08-08)",
        "alerts: got 'many'",
    ],
    "features from=2018-08-08 to=2018-08-01 features=full dataset=handbook lak=x": [
        "to: got 2018-08-01, expected an instant after from (2018-08-08)",
        "features: card_",
        "lak: unknown key",
    ],
    "stream dataset=handbook input=. from=2018-08-08 to=2018-08-01 kafka=LICENSE replay=0s": [
        "to: got 2018-08-01, expected an instant after from (2018-08-08)",
        "kafka: got",
        "replay: got '0s'",
    ],
    "train train_from=2018-08-01 train_to=2018-07-25 test_to=2018-01-01 model=no": [
        "train_to: got 2018-07-25, expected an instant after train_from (2018-08-01)",
        "model: got 'no'",
    ],
    "train train_from=2018-08-01 test_from=2018-09-01 test_to=2018-08-30": [
        "train_to: missing",
        "test_to: got 2018-08-30, expected an instant after test_from (2018-09-01)",
    ],
    "train train_from=2018-07-25 train_to=9999-12-31 delay=99999999999d": [
        "delay: got '99999999999d'"
    ],
    "train train_from=2018-07-25 train_to=9999-12-31 delay=7d": [
        "train_to: got 9999-12-31, expected"
    ],
    "review from=0001-01-01T00:00:00+14:00": [
        "from: got '0001-01-01T00:00:00+14:00', expected a day"
    ],
    "serve dataset=simulated lake=s3://b/lake listen=x": ["state: got none", "listen: got 'x'"],
    "parity state=. alerts=0": ["alerts: got '0'", "dataset: missing"],
    "parity state=. dataset=handbook features=full": ["features: card_"],
    "scoore lake=x": ["job: got 'scoore'", "did you mean score?"],
}

KEY = "spark.databricks.delta.commitInfo.userMetadata"


@pytest.mark.parametrize("command", WRONG)
def test_wrong_configuration(command):
    """Exit code 2, every problem named, no Spark in the process."""
    program = (
        "import sys\nfrom fraudlake import cli\n"
        "try:\n    cli.main(sys.argv[1:])\n"
        "finally:\n    print('heavy:', sorted({'pyspark', 'torch', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command.split()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == "heavy: []\n"
    for part in WRONG[command]:
        assert part in done.stderr


@pytest.mark.parametrize("name", resources.jobs())
def test_no_range_ends_before_it_begins(name):
    """Whatever else is missing or wrong; every end that a job takes has its start."""
    model = job.load(name)["Arguments"]
    keys = [info.alias or field for field, info in model.model_fields.items()]
    ends = [key for key in keys if key == "to" or key.endswith("_to")]
    for end in ends:
        start = f"{end[:-2]}from"
        with pytest.raises(ConfigError) as error:
            job.parse(model, [f"{start}=2018-08-08", f"{end}=2018-08-08", "wrong=1"])
        wanted = f"{end}: got 2018-08-08, expected an instant after {start} (2018-08-08)"
        assert wanted in error.value.problems
        assert any(problem.startswith("wrong: ") for problem in error.value.problems)


class Arguments(job.Arguments):
    lake: options.Lake = Field("build/lake", description="the lake")
    from_: instants.Instant | None = Field(None, alias="from", description="start")
    alerts: options.Count = Field(100, description="alerts a day")
    delay: instants.Duration = Field("7d", description="label delay")


def test_later_words_win(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("alerts: 5\nfrom: 2018-08-01\n")
    second.write_text("alerts: 6\n")
    found = job.parse(Arguments, ["--config", str(first), f"--config={second}", "delay=36h"])
    assert job.resolved(found) == {
        "lake": found.lake, "from": "2018-08-01", "alerts": 6, "delay": "36h",
    }  # fmt: skip
    assert job.parse(Arguments, ["--config", str(first), "alerts=7"]).alerts == 7


def test_resolved_arguments_are_read_back_the_same():
    found = job.parse(Arguments, ["from=2018-08-01T12:00:00", "lake=/tmp/x"])
    words = [f"{key}={value}" for key, value in job.resolved(found).items()]
    assert job.parse(Arguments, words) == found


def test_all_problems_at_once():
    with pytest.raises(ConfigError) as error:
        job.parse(Arguments, ["alerts=x", "delay=y", "from=z", "wrong=1", "bare"])
    assert len(error.value.problems) == 5


def test_a_job_that_needs_no_spark(capsys):
    def run(spark, args):
        return {"spark": spark, "alerts": args.alerts}

    job.main(Arguments, run, ["alerts=3"], spark=False)
    assert json.loads(capsys.readouterr().out) == {"job": "test_job", "spark": None, "alerts": 3}
    assert "spark-submit" not in job.describe("serve", Arguments, "", spark=False)


@pytest.mark.parametrize("name", resources.jobs())
def test_help_names_every_key(name):
    found = job.load(name)
    text = job.describe(name, found["Arguments"], found["__doc__"])
    for key, info in found["Arguments"].model_fields.items():
        assert f"{info.alias or key}=" in text
        assert info.description
    assert "Reads:" in text
    assert "Writes:" in text


def test_every_conf_file_is_checked(capsys):
    from fraudlake import cli

    cli.main(["validate"])
    shipped = sum(
        len(resources.names(kind)) for kind in ("datasets", "features", "models", "search", "gates")
    )
    examples = ("spark", "service")
    on_disk = [p for p in resources.folder("conf").rglob("*.yaml") if p.parent.name not in examples]
    assert json.loads(capsys.readouterr().out)["files"] == shipped == len(on_disk) >= 5


def test_a_name_is_checked_with_the_other_arguments(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("format: xlsx\ntimezone: Mars/Olympus\n")

    class Named(Arguments):
        dataset: names.DatasetName = Field(description="data set")

    with pytest.raises(ConfigError) as error:
        job.parse(Named, [f"dataset={broken}", "alerts=x"])
    text = str(error.value)
    for part in (
        "format: got 'xlsx'",
        "timezone: got 'Mars/Olympus'",
        "columns: missing",
        "alerts",
    ):
        assert part in text


class Settings(dict):
    """A session's, as `spark.conf` has them."""

    set = dict.__setitem__
    unset = dict.__delitem__


@pytest.mark.parametrize("before", [{}, {KEY: "own"}])
@pytest.mark.parametrize("fails", [False, True])
def test_a_job_leaves_nothing_in_the_session(before, fails):
    """Neither its configuration nor what the caller had there; failed or not."""

    def run(spark, args):
        assert f'"alerts": {args.alerts}' in spark.conf[KEY]
        if fails:
            raise RuntimeError("in the middle")
        return {}

    spark = SimpleNamespace(conf=Settings(before))
    with pytest.raises(RuntimeError) if fails else nullcontext():
        job.execute("train", spark, run, job.parse(Arguments, ["alerts=3"]))
    assert spark.conf == before


def test_where_java_has_died_the_run_says_of_what():
    class Gone(Settings):
        def unset(self, key):  # noqa: ARG002
            raise ConnectionRefusedError

    def run(spark, args):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        job.execute("train", SimpleNamespace(conf=Gone()), run, job.parse(Arguments, []))


def test_a_full_disk_is_told_in_words(monkeypatch, capsys):
    class Amounts(job.Arguments):
        pass

    def run(spark, arguments):
        raise RuntimeError("task 3 failed\n\tat java.io.IOException: No space left on device")

    conf = SimpleNamespace(get=lambda *_: None, set=lambda *_: None, unset=lambda *_: None)
    spark = SimpleNamespace(conf=conf, stop=lambda: None)
    monkeypatch.setattr("fraudlake.session.open_spark", lambda *_: spark)
    with pytest.raises(SystemExit) as ended:
        job.main(Amounts, run, [])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "test_job: disk: got 'No space left on device', expected room" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("size", ["4", "5", None])
def test_java_starts_from_an_archive_that_is_whole(tmp_path, monkeypatch, size):
    """One that is cut off would end Java at once; without one, Java starts as ever."""
    for name in ("SPARK_HOME", "SPARK_CONF_DIR", "JAVA_HOME"):
        monkeypatch.setenv(name, "")  # what it was comes back in the end
        monkeypatch.delenv(name)
    monkeypatch.setattr(session, "start_folder", lambda: tmp_path)
    (tmp_path / "classes.jsa").write_text("1234")
    (tmp_path / "java-home").write_text("/java")
    if size:
        (tmp_path / "size").write_text(size)
    settings = {"spark.driver.extraJavaOptions": "-XX:+UseParallelGC"}
    with session._from_archive(settings):
        assert os.environ["SPARK_CONF_DIR"] == f"{tmp_path}/conf"
        assert os.environ["JAVA_HOME"] == "/java"
    assert "SPARK_CONF_DIR" not in os.environ
    options = settings["spark.driver.extraJavaOptions"]
    assert options.startswith("-XX:+UseParallelGC")
    assert (f"-XX:SharedArchiveFile={tmp_path}/classes.jsa" in options) == (size == "4")
    monkeypatch.setenv("SPARK_CONF_DIR", "/own")
    with session._from_archive(own := {}):
        assert os.environ["SPARK_CONF_DIR"] == "/own"
    assert own == {}
