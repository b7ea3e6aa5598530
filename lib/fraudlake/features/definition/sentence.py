"""What a feature's value says of a transaction, in a sentence for the analyst who reads it."""

from __future__ import annotations

import math
from typing import Any

from fraudlake.features.feature import Feature, is_missing

_CALENDAR = {
    "weekend": ("on a working day", "on a weekend"),
    "night": ("by day", "at night (00:00 to 06:59)"),
}
_LENGTHS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
_MICROS = 1_000_000
_DIGITS_FROM = 1.0  # smaller numbers are shown with three digits


def sentence(feature: Feature, value: Any) -> str:
    """What a value of a feature says, in words.

    Parameters
    ----------
    feature
        Of the feature set.
    value
        As the table `features` has it: a number, a text for a category, None or NaN for nothing.

    Examples
    --------
    >>> from fraudlake.features.definition.feature_set import load_feature_set
    >>> cards = {feature.name: feature for feature in load_feature_set("cards").features}
    >>> sentence(cards["card_ratio_amount_30d"], 8.25)
    "amount is 8.25 × this card's mean in the 30 days before"
    >>> sentence(cards["card_count_1d"], 1)
    '1 transaction of this card in the last day'
    >>> sentence(cards["card_since_30d"], None)
    'nothing to go by: no transaction of this card in the 30 days before'
    """
    if feature.operation is None:
        return _of_itself(feature, value)
    entity = " and ".join(map(_words, feature.entities))
    column = _words(feature.column or "transaction")
    if is_missing(value):
        return f"nothing to go by: no {column} of this {entity} {_window(feature)}"
    said = feature.operation.says or f"{feature.operation.meaning} is {{v}} for this {{e}} {{w}}"
    return said.format(
        v=_Value(value),
        e=entity,
        w=_window(feature),
        c=column,
        o=_words(feature.other),
        n="last" if feature.nth == 1 else f"last but {feature.nth - 1}",
        h=length(feature.half_life / _MICROS),
    )


def _of_itself(feature: Feature, value: Any) -> str:
    """Of a feature that takes no other transaction."""
    column, other = _words(feature.column), _words(feature.other)
    if is_missing(value):
        return f"{column} is not known"
    match feature.kind:
        case "calendar":
            return _CALENDAR[feature.name][bool(value)]
        case "same":
            return f"{column} is {'not ' * (not value)}{other}"
        case "category":
            return f"{column} is {value}"
        case "ratio":
            return f"{column} is {_number(float(value))} × {other}"
        case _:
            return f"{column} is {_number(float(value))}"


def length(seconds: float) -> str:
    """A length of time in the largest unit that it fills, one decimal at most.

    >>> length(5400), length(86400), length(42)
    ('1.5 hours', '1 day', '42 seconds')
    """
    unit, size = next((found for found in _LENGTHS if seconds >= found[1]), ("second", 1))
    return _counted(round(seconds / size, 1), unit)


class _Value(float):
    """A number that a template shows by the word after its colon."""

    def __format__(self, how: str) -> str:
        value = float(self)
        if how.startswith("# "):
            return _counted(value, how[2:])
        shown = {
            "": lambda: _number(value),
            "ago": lambda: f"{length(value)} ago",
            "share": lambda: f"{value:.2%}" if 0 < value < 0.1 else f"{value:.0%}",
            "above": lambda: _deviations(value),
            "exp": lambda: _number(math.exp(min(value, 700))),
            "streak": lambda: f"{abs(value):,.0f} {'not ' * (value < 0)}known to be fraud",
        }
        return shown[how]()


def _deviations(value: float) -> str:
    side = "above" if value >= 0 else "below"
    return f"{_counted(round(abs(value), 1), 'standard deviation')} {side}"


def _counted(value: float, noun: str) -> str:
    return f"{_number(value)} {noun}" + "s" * (value != 1)


def _number(value: float) -> str:
    """
    >>> _number(3.0), _number(1234.5), _number(0.012345)
    ('3', '1,234.5', '0.0123')
    """
    if value == round(value, 1):
        return f"{value:,.10g}"
    return f"{value:,.2f}" if abs(value) >= _DIGITS_FROM else f"{value:.3g}"


def _window(feature: Feature) -> str:
    window = length(feature.window / _MICROS)
    window = window.removeprefix("1 ") if window.startswith("1 ") else window
    if feature.delay:
        return f"in the {window} that ended {length(feature.delay / _MICROS)} before"
    if feature.current and feature.ties:
        return f"in the last {window}"
    return f"in the {window} before"


def _words(name: str) -> str:
    return name.replace("_", " ")
