"""What a feature means, in words, and what it costs."""

from __future__ import annotations

from datetime import timedelta

from fraudlake.features.definition.feature import Feature
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.instants import format_duration

# Operation → what it is of the events in the window ({c}: column, {o}: second column, {n}: which).
_MEANING = {
    "count": "how many",
    "sum": "sum of {c}",
    "mean": "mean of {c}",
    "std": "standard deviation of {c} (of a sample: two values or more)",
    "min": "smallest {c}",
    "max": "largest {c}",
    "distinct": "number of different values of {c}, exact",
    "rate": "share known to be fraud at this time",
    "age": "seconds since the first",
    "since": "seconds since the last",
    "last": "{c} of the {n} that has any",
    "decay": "sum of {c}, each halved for every {h} of its age",
    "ratio": "the {c} of this one over the mean {c}",
    "zscore": "the {c} of this one less the mean {c}, in standard deviations",
    "speed": "km/h from the last place ({c}, {o}) to that of this one",
    "time_of_day": "nats by which the hour of this one is less likely than the usual hour, UTC",
}
# Operation → bytes that the kernels keep for each event: its column and what is made of it.
_BYTES = {
    "sum": 16,
    "mean": 16,
    "ratio": 16,
    "std": 32,
    "zscore": 32,
    "min": 16,
    "max": 16,
    "distinct": 24,
    "last": 24,
    "decay": 24,
    "speed": 32,
    "time_of_day": 32,
}
_ALONE = {"weekend": "1 on Saturday and Sunday, UTC", "night": "1 from 00:00 to 06:59, UTC"}


def meaning(feature: Feature) -> str:
    """One sentence that says what the feature is.

    Examples
    --------
    >>> from fraudlake.features.definition.feature_set import load_feature_set
    >>> meaning(load_feature_set("handbook").features[3])
    'transactions of the customer in the 1d up to this one, itself included: how many'
    """
    if feature.kind == "column":
        return f"{feature.column} of the transaction"
    if feature.kind == "category":
        return f"{feature.column} of the transaction, for models to encode"
    if feature.kind == "same":
        return (
            f"1 where {feature.column} is {feature.other}, 0 where not, null where one is missing"
        )
    if feature.kind == "calendar":
        return _ALONE[feature.name]
    if feature.kind == "ratio":
        return f"{feature.column} over {feature.other}; {_empty(feature)} where that is 0 or null"
    what = _MEANING[feature.operation or ""].format(
        c=feature.column,
        o=feature.other,
        n="last one" if feature.nth == 1 else f"last but {feature.nth - 1}",
        h=_length(feature.half_life),
    )
    of = f"transactions of the {' and '.join(feature.entities)} {_when(feature)}"
    counted = feature.operation in ("count", "distinct")
    return f"{of}: {what}" + ("" if counted else f"; {_empty(feature)} where there is none")


def _when(feature: Feature) -> str:
    window = f"in the {_length(feature.window)}"
    if feature.delay:
        return f"{window} that end {_length(feature.delay)} before this one"
    if not feature.ties:
        return f"{window} before this one, none of the same instant"
    return f"{window} up to this one, itself {'included' if feature.current else 'left out'}"


def _empty(feature: Feature) -> str:
    return "null" if feature.empty is None else f"{feature.empty:g}"


def _length(micros: int) -> str:
    return format_duration(timedelta(microseconds=micros))


def cost(feature: Feature, feature_set: FeatureSet) -> str:
    """Shuffles, binary searches for a transaction and memory for an event.

    Searches for the window's ends are shared by features of one window, shuffles by those of one
    entity, columns and their sums by those of one entity and column.

    Examples
    --------
    >>> from fraudlake.features.definition.feature_set import load_feature_set
    >>> handbook = load_feature_set("handbook")
    >>> cost(handbook.features[4], handbook)
    '1 shuffle, shared by 6 features; 1 search a transaction; 16 bytes an event'
    """
    if feature.kind != "window":
        return "no shuffle, no search, no memory"
    sharing = len(feature_set.by_entity()[feature.entity])
    searches = 2 if feature.delay or not feature.ties else 1
    if feature.operation == "decay":
        searches += feature.window // feature.half_life + 1
    shared = f", shared by {sharing} features" if sharing > 1 else ""
    many = "es" if searches > 1 else ""
    memory = _BYTES.get(feature.operation or "", 0)
    return f"1 shuffle{shared}; {searches} search{many} a transaction; {memory} bytes an event"
