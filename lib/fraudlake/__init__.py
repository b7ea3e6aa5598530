"""Point-in-time features, distributed training and exactly-once scoring of payments on Spark.

For notebooks and scripts the names below stand here too, each imported when it is first used:
`import fraudlake` starts nothing and takes no time. The library itself imports them where they are.

>>> from fraudlake import load_feature_set, meaning
>>> meaning(load_feature_set("handbook").features[3])
'transactions of the customer in the 1d up to this one, itself included: how many'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME_OF = {
    "open_spark": "session",
    "Lake": "lake",
    "TRANSACTIONS": "lake.tables",
    "LABELS": "lake.tables",
    "QUARANTINE": "lake.tables",
    "FEATURES": "lake.tables",
    "SCORES": "lake.tables",
    "FLAGGED": "lake.tables",
    "METRICS": "lake.tables",
    "time_range": "instants",
    "load_dataset": "datasets",
    "load_feature_set": "features.definition.feature_set",
    "meaning": "features.definition.explain",
    "sentence": "features.definition.sentence",
    "load_contender": "models.contender",
    "latest_labels": "training.split",
    "Registry": "registry",
    "score_rows": "scoring.apply",
    "to_matrix": "models.encoding",
    "FraudlakeError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
}
__all__ = list(_HOME_OF)

if not TYPE_CHECKING:  # the library's own type check is to know names that are not there

    def __getattr__(name: str) -> Any:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"fraudlake.{_HOME_OF[name]}"), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME_OF})
