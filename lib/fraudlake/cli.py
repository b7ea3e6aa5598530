"""The console command: `fraudlake JOB key=value …`, `list`, `explain`, `validate`."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from fraudlake import __version__, job, resources
from fraudlake.errors import ConfigError

USAGE = """fraudlake {version}: from raw transactions to flagged ones, on Spark.

Usage:
  fraudlake JOB [--config FILE]... [key=value]...   run a job
  fraudlake JOB --help                              what it reads, writes and takes
  fraudlake list                                    data sets, feature sets, contenders, gates
  fraudlake list features/NAME                      the features of a set: name, type, meaning
  fraudlake explain FEATURE features=NAME           what one of them means and costs
  fraudlake validate                                check every file in conf/
  fraudlake validate JOB [key=value]...             check a job's arguments and print them resolved

Jobs:
{jobs}"""


def _usage() -> str:
    lines = []
    for name in resources.jobs():
        first = (job.load(name)["__doc__"] or "").strip().splitlines()[0]
        lines.append(f"  {name:<10} {first}")
    return USAGE.format(version=__version__, jobs="\n".join(lines))


def _list() -> None:
    for kind in ("datasets", "features", "models", "search", "gates"):
        print(f"{kind}: {', '.join(resources.names(kind))}")


def _list_features(word: str) -> None:
    from fraudlake.features.definition.explain import meaning
    from fraudlake.features.definition.feature_set import load_feature_set

    kind, _, name = word.partition("/")
    if kind != "features" or not name:
        raise ConfigError([f"list: got {word!r}, expected nothing or features/NAME"])
    for feature in load_feature_set(name).features:
        print(f"{feature.name}  {feature.sql_type}  {meaning(feature)}")


def _explain(words: Sequence[str]) -> None:
    from fraudlake.features.definition.explain import cost, meaning
    from fraudlake.features.definition.feature_set import load_feature_set

    if len(words) != 2 or not words[1].startswith("features="):
        raise ConfigError([f"explain: got {' '.join(words)!r}, expected FEATURE features=NAME"])
    feature_set = load_feature_set(words[1].removeprefix("features="))
    features = {feature.name: feature for feature in feature_set.features}
    if words[0] not in features:
        close = get_close_matches(words[0], features, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError([f"explain: got {words[0]!r}, expected a feature of the set{hint}"])
    feature = features[words[0]]
    used = ", ".join(dict.fromkeys((*feature.entities, *feature.columns)))
    print(f"{feature.name}: {meaning(feature)}")
    print(f"type:  {feature.sql_type}")
    print(f"needs: {used or 'event_time'}")
    print(f"costs: {cost(feature, feature_set)}")


def _loaders() -> dict:
    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.models.contender import load_contender
    from fraudlake.models.gate import load_gate
    from fraudlake.models.space import load_space

    return {
        "datasets": load_dataset,
        "features": load_feature_set,
        "models": load_contender,
        "search": load_space,
        "gates": load_gate,
    }


def _validate_conf() -> None:
    problems, checked = [], 0
    for kind, load in _loaders().items():
        for name in resources.names(kind):
            checked += 1
            try:
                load(name)
            except ConfigError as error:
                problems += [f"conf/{kind}/{line}" for line in error.problems]
    if problems:
        raise ConfigError(problems)
    print(json.dumps({"files": checked, "problems": 0}))


def main(words: Sequence[str] | None = None) -> None:
    """Entry point of the console command; exit code 2 on a wrong configuration."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(_usage())
        elif words[0] == "--version":
            print(__version__)
        elif words[0] == "list" and len(words) == 1:
            _list()
        elif words[0] == "list":
            _list_features(" ".join(words[1:]))
        elif words[0] == "explain":
            _explain(words[1:])
        elif words[0] == "validate" and len(words) == 1:
            _validate_conf()
        elif words[0] == "validate":
            found = job.load(words[1])
            print(json.dumps(job.resolved(job.parse(found["Arguments"], words[2:])), indent=2))
        else:
            job.load(words[0])
            path = str(resources.folder("jobs") / f"{words[0]}.py")
            sys.argv = [path, *words[1:]]
            runpy.run_path(path, run_name="__main__")
    except ConfigError as error:
        print(f"fraudlake: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
