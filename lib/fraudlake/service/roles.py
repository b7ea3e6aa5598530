"""Who does what in a stream: the model that decides, the one in its shadow, the one in service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Self

from fraudlake.models.scorer import NO_SCORE
from fraudlake.service.admission import Model
from fraudlake.service.model_watch import ModelWatch

if TYPE_CHECKING:
    from fraudlake.service.model_cache import ModelCache

_CHAMPION, _CHALLENGER = "champion", "challenger"


class Roles:
    """The models of a stream; used as a context, within which the registry is followed.

    Parameters
    ----------
    resolve
        Alias → version (`Registry.resolve`).
    cache
        Admits versions and keeps them.
    model
        Alias or version number of the model that decides. Where it is not `champion`, the stream
        flags only as long as that version is the champion too.
    every
        Seconds between two looks at an alias.

    Attributes
    ----------
    deciding, challenger : ModelWatch
        The model that decides; the one whose scores are added.
    """

    def __init__(
        self, resolve: Callable[[str], int], cache: ModelCache, model: str, every: float
    ) -> None:
        take, last = partial(cache.admitted, model), partial(cache.last, model)
        self.deciding = ModelWatch(resolve, take, model, True, every, last)
        take = partial(cache.admitted, _CHALLENGER)
        self.challenger = ModelWatch(resolve, take, _CHALLENGER, False, every)
        self._follows = model == _CHAMPION
        # Only its number is asked for: it may be a model of other features.
        self._champion = ModelWatch(
            resolve, lambda version: Model(version, {}, "", NO_SCORE), _CHAMPION, False, every
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for watch in (self.deciding, self.challenger, *([] if self._follows else [self._champion])):
            self._stack.enter_context(watch)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def models(self) -> tuple[Model, ...]:
        """The models for the next batch, each version once, the deciding one first."""
        found = [model for w in (self.deciding, self.challenger) if (model := w.current())]
        return tuple({model.version: model for model in found}.values())

    def in_service(self, version: int) -> bool | None:
        """Whether the version that decides is the one in service; None where nobody knows yet.

        A stream that follows the champion serves, whatever the alias names: the version that it has
        stays where the next one is refused or the registry does not answer.
        """
        if self._follows:
            return True
        champion = self._champion.current()
        if champion is None:
            return False if self._champion.reachable else None
        return champion.version == version
