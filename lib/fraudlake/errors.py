"""Errors that a user can act on: what was received, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable


class FraudlakeError(Exception):
    """Base of every error the package raises on purpose; its text is meant for the user."""


class ConfigError(FraudlakeError, ValueError):
    r"""One or more settings are wrong. All of them are told at once.

    A `ValueError` too, so that a validator may raise it and pydantic goes on to the next key.

    Parameters
    ----------
    problems
        One sentence each: the key, what was given, what was expected.

    Examples
    --------
    >>> str(ConfigError(["alerts: got 'many', expected a whole number of at least 1"]))
    "1 problem:\n  - alerts: got 'many', expected a whole number of at least 1"
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        heading = f"{count} problem{'' if count == 1 else 's'}:"
        super().__init__("\n  - ".join([heading, *self.problems]))


class DataError(FraudlakeError):
    """The data does not allow the job to go on: an empty training window, counts that disagree."""


class SetupError(FraudlakeError):
    """Something outside the data is missing: a JAR, Java, free slots on the cluster."""
