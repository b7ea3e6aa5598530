"""The model in service: an alias of the registry, followed while the service runs.

A new version is fetched, checked and opened beside the one in service, in a thread of its own; the
stream asks between two batches which one to take. A version that fails a check is refused, and the
one in service stays. So does it where the registry does not answer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Self

from fraudlake.errors import FraudlakeError
from fraudlake.service.admission import Model

log = logging.getLogger("fraudlake")


class ModelWatch:
    """Follows one alias; used as a context, within which its thread runs.

    Parameters
    ----------
    resolve
        Alias → version; raises `FraudlakeError` where no version has it, and anything else where
        the registry does not answer (`Registry.resolve`).
    admit
        Version → checked model; raises `FraudlakeError` where it must not serve.
    alias
        `champion`, `challenger`, or a version number, which never changes.
    required
        Whether the service can do without: a champion is required, a challenger is not.
    every
        Seconds between two looks.
    last
        The model that was last in service, for a start while the registry does not answer; raises
        `FraudlakeError` where there is none. Left out, there is no such start.

    Attributes
    ----------
    refused : int or None
        The version that the alias names and that was refused.
    reachable : bool
        Whether the registry answered when last asked.

    Examples
    --------
    >>> fixed = {"champion": 3}
    >>> model = Model(3, {}, "", 0.5)
    >>> watch = ModelWatch(fixed.__getitem__, lambda version: model, "champion", True, 30)
    >>> with watch: watch.current().version
    3
    """

    def __init__(
        self,
        resolve: Callable[[str], int],
        admit: Callable[[int], Model],
        alias: str,
        required: bool,
        every: float,
        last: Callable[[], Model] | None = None,
    ) -> None:
        self.alias = alias
        self.refused: int | None = None
        self.reachable = True
        self._resolve, self._admit, self._required, self._every = resolve, admit, required, every
        self._last = last
        self._model: Model | None = None
        self._said = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{alias} watch", daemon=True)

    def __enter__(self) -> Self:
        """Take the first model, or raise what keeps a required one from serving."""
        if self._required:
            self._model = self._first()
        else:
            self.look()
        self._thread.start()
        return self

    def _first(self) -> Model:
        try:
            return self._admit(self._resolve(self.alias))
        except FraudlakeError:
            raise
        except Exception as error:
            if self._last is None:
                raise
            try:
                model = self._last()
            except FraudlakeError:
                raise error from None
            self.reachable = False
            reason = " ".join(str(error).split()) or type(error).__name__
            self._say(f"the registry does not answer, starting with {model} as before: {reason}")
            return model

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def current(self) -> Model | None:
        """The model for the next batch; None where there is none and none is required."""
        return self._model

    def look(self) -> None:
        """Ask the registry once, and bring a new version into service or refuse it."""
        try:
            version = self._resolve(self.alias)
            self.reachable = True
            if self._model and version == self._model.version:
                self.refused = None
            elif version != self.refused:
                self._bring(version)
        except FraudlakeError as error:  # the registry answers, and no version has the alias
            self.reachable = True
            if self._required:
                self._say(f"serving with {self._model}: {error}")
            elif self._model:
                log.info("%s: %s leaves service: %s", self.alias, self._model, error)
                self._model = None
        except Exception as error:  # noqa: BLE001 - each store and network has failures of its own
            self.reachable = False
            reason = " ".join(str(error).split()) or type(error).__name__
            serving = f"serving with {self._model or 'none'}"
            self._say(f"the registry does not answer, {serving}: {reason}")
        else:
            self._said = ""

    def _bring(self, version: int) -> None:
        try:
            model = self._admit(version)
        except FraudlakeError as error:
            self.refused = version
            log.error(  # noqa: TRY400 - the sentence says it all
                "%s: version %d is refused, %s: %s",
                self.alias,
                version,
                f"{self._model} stays" if self._model else "there is none to go on with",
                error,
            )
            return
        after = f" after {self._model}" if self._model else ""
        log.info("%s: %s goes into service%s", self.alias, model, after)
        self._model, self.refused = model, None

    def _say(self, text: str) -> None:
        """Once, however often it is found."""
        if text != self._said:
            log.warning("%s: %s", self.alias, text)
        self._said = text

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            self.look()
