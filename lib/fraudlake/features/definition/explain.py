"""What a feature means, in words, and what it costs."""

from __future__ import annotations

from datetime import timedelta

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import Feature
from fraudlake.instants import format_duration

_CALENDAR = {"weekend": "1 on Saturday and Sunday, UTC", "night": "1 from 00:00 to 06:59, UTC"}


def meaning(feature: Feature) -> str:
    """One sentence that says what the feature is.

    Examples
    --------
    >>> from fraudlake.features.definition.feature_set import load_feature_set
    >>> meaning(load_feature_set("handbook").features[3])
    'transactions of the customer in the 1d up to this one, itself included: how many'
    """
    meanings = {
        "column": f"{feature.column} of the transaction",
        "category": f"{feature.column} of the transaction, for models to encode",
        "same": f"1 where {feature.column} is {feature.other}, 0 where not, null where one is "
        "missing",
        "calendar": _CALENDAR.get(feature.name, ""),
        "ratio": f"{feature.column} over {feature.other}; {_empty(feature)} where that is 0 or "
        "null",
    }
    if feature.operation is None:
        return meanings[feature.kind]
    what = feature.operation.meaning.format(
        c=feature.column,
        o=feature.other,
        n="last one" if feature.nth == 1 else f"last but {feature.nth - 1}",
        h=_length(feature.half_life),
    )
    of = f"transactions of the {' and '.join(feature.entities)} {_when(feature)}"
    counted = feature.sql_type == "bigint"
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
    operation = feature.operation
    if operation is None:
        return "no shuffle, no search, no memory"
    sharing = len(feature_set.by_entity()[feature.entity])
    searches = 2 if feature.delay or not feature.ties else 1
    searches += operation.searches(feature) if operation.searches else 0
    shared = f", shared by {sharing} features" if sharing > 1 else ""
    many = "es" if searches > 1 else ""
    memory = f"{operation.bytes_an_event} bytes an event"
    return f"1 shuffle{shared}; {searches} search{many} a transaction; {memory}"
