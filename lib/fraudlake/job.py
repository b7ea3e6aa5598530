"""How a job starts: `--config FILE` and `key=value` → checked arguments → Spark → one JSON line.

A job file declares `Arguments` (a subclass of `job.Arguments`) and `run(spark, args) -> dict`, and
ends with `job.main(Arguments, run)`. The console command runs that same file.
"""

from __future__ import annotations

import json
import logging
import re
import runpy
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from fraudlake import instants, resources
from fraudlake.config import explain
from fraudlake.errors import ConfigError, FraudlakeError
from fraudlake.instants import format_duration, format_instant

log = logging.getLogger("fraudlake")

Result = dict[str, Any]

# Fields that hold the two ends of a range.
_RANGES = (("from_", "to"), ("train_from", "train_to"), ("test_from", "test_to"))
# What Java and Python say where a write finds no room.
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|File too large")


class Arguments(BaseModel):
    """Arguments of a job. Field descriptions are what `--help` prints; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    renamed: ClassVar[Mapping[str, str]] = {}
    """Key of an earlier version → the one that took its place; the message names it."""
    word: ClassVar[str] = ""
    """Key of a bare first word: `fraudlake why 1234` says `tx=1234`."""

    @field_validator("*")
    @classmethod
    def _given(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context is not None:
            info.context[info.field_name] = value
        return value

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        """What is wrong with arguments that are right one by one; a job adds its own.

        Parameters
        ----------
        given
            Field → value, without the fields that are wrong by themselves: a job tells all at once.
        """
        return [problem for ends in _RANGES for problem in instants.range_problems(given, *ends)]


def parse(model: type[Arguments], words: Sequence[str]) -> Arguments:
    """Merge `--config FILE`s and `key=value` words (later wins) and check them.

    Raises
    ------
    ConfigError
        Every problem at once: files, words and keys.
    """
    problems: list[str] = []
    merged: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--config" or word.startswith("--config="):
            name = word.partition("=")[2] or (rest.pop(0) if rest else "")
            try:
                merged |= yaml.safe_load(Path(name).read_text())
            except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
                reason = " ".join(str(error).split())
                problems.append(f"--config: got {name!r}, expected a YAML file of keys ({reason})")
        elif "=" in word and not word.startswith("-"):
            key, _, value = word.partition("=")
            merged[key] = value
        elif model.word and model.word not in merged and not word.startswith("--"):
            merged[model.word] = word
        else:
            problems.append(f"{word}: got a bare word, expected key=value, --config FILE or --help")
    for key in model.renamed.keys() & merged:
        problems.append(f"{key}: got its former name, expected {model.renamed[key]}=")
        del merged[key]
    given: dict[str, Any] = {}
    try:
        arguments = model.model_validate(merged, context=given)
    except ValidationError as error:
        problems += explain(error, model)
    problems += model.problems(given)
    if problems:
        raise ConfigError(problems)
    return arguments


def describe(name: str, model: type[Arguments], text: str, spark: bool = True) -> str:
    """The text of `--help`: what the job reads and writes, and its keys with defaults."""
    bare = f" [{model.word.upper()}]" if model.word else ""
    usage = f"  fraudlake {name}{bare} [--config FILE]... [key=value]..."
    lines = [text.strip(), "", "Usage:", usage]
    if spark:
        lines.append(f"  spark-submit --properties-file conf/spark/PLACE.conf jobs/{name}.py ...")
    lines += ["", "Keys:"]
    for field, info in model.model_fields.items():
        key = info.alias or field
        if info.is_required():
            default = "required"
        elif info.default is None:
            default = "optional"
        else:
            default = f"default {_shown(info.default)}"
        lines.append(f"  {key + '=':<14} {info.description or ''} ({default})")
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, timedelta):
        return format_duration(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def resolved(arguments: Arguments) -> dict[str, Any]:
    """Arguments as plain JSON values, defaults filled in, by the names a user types."""
    return json.loads(arguments.model_dump_json(by_alias=True))


def load(name: str) -> dict[str, Any]:
    """The globals of `jobs/NAME.py`: its `Arguments`, its `run`, its `__doc__`."""
    if name not in resources.jobs():
        close = get_close_matches(name, resources.jobs(), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(
            [f"job: got {name!r}, expected one of {', '.join(resources.jobs())}{hint}"]
        )
    return runpy.run_path(str(resources.folder("jobs") / f"{name}.py"), run_name=f"jobs.{name}")


def call(name: str, spark: Any, /, **values: Any) -> Result:
    """Run a job inside a session that is already open; keys as a user types them.

    `from` is a Python keyword: pass it as `**{"from": "2018-08-01"}`.
    """
    recipe = load(name)
    words = [f"{key}={value}" for key, value in values.items() if value is not None]
    return execute(name, spark, recipe["run"], parse(recipe["Arguments"], words))


def execute(name: str, spark: Any, run: Callable[..., Result], arguments: Arguments) -> Result:
    """Run a job on checked arguments and write its configuration into every commit it makes.

    Without a session (`spark` None) it makes none.
    """
    from fraudlake import __version__, session
    from fraudlake.lake.commits import METADATA

    started = time.monotonic()
    config = resolved(arguments)
    log.info("%s: %s", name, " ".join(f"{k}={v}" for k, v in config.items() if v is not None))
    if spark is None:
        result = run(spark, arguments)
    else:
        note = {"job": name, "arguments": config, "fraudlake": __version__}
        with session.configured(spark, {METADATA: json.dumps(note, sort_keys=True)}):
            result = run(spark, arguments)
    log.info("%s: done in %.1f s", name, time.monotonic() - started)
    return {"job": name, **result}


def main(
    model: type[Arguments],
    run: Callable[..., Result],
    words: Sequence[str] | None = None,
    spark: bool = True,
    light: bool = False,
) -> None:
    """Run a job from the command line, in a Spark session if it needs one; ends the process.

    Exit code 0: everything was written and the last line on standard output is one JSON object.
    2: the configuration is wrong, nothing was started. 1: anything else.

    Parameters
    ----------
    light
        As `session.open_spark` has it.
    """
    words = sys.argv[1:] if words is None else words
    text = run.__globals__["__doc__"]
    name = Path(run.__globals__["__file__"]).stem
    if any(word in ("-h", "--help", "help") for word in words):
        print(describe(name, model, text, spark))
        raise SystemExit(0)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )
    log.setLevel(logging.INFO)
    try:
        arguments = parse(model, words)
    except ConfigError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    from fraudlake import session

    opened = None
    try:
        opened = session.open_spark(f"fraudlake {name}", light) if spark else None
        result = execute(name, opened, run, arguments)
    except ConfigError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except FraudlakeError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        if not (said := _NO_ROOM.search(str(error))):
            raise
        print(
            f"{name}: disk: got '{said[0]}', expected room for the tables, a stream's state and "
            "Spark's own files (spark.local.dir): make room and start the job again, it goes on "
            "where it was",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    finally:
        # Where Java has died, what it died of is the news.
        with suppress(ConnectionError):
            if opened is not None:
                opened.stop()
    print(json.dumps(result, default=str), flush=True)
