"""Argument types that name a file in `conf/`; the file is read and checked with the arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field


def _dataset(name: str) -> str:
    from fraudlake.datasets import load_dataset

    load_dataset(name)
    return name


def _feature_set(name: str) -> str:
    from fraudlake.features.definition.feature_set import load_feature_set

    load_feature_set(name)
    return name


def _contender(name: str) -> str:
    from fraudlake.models.contender import load_contender

    load_contender(name)
    return name


def _gate(name: str | None) -> str | None:
    from fraudlake.models.gate import load_gate

    load_gate(name)
    return name


def misfits(given: Mapping[str, Any]) -> list[str]:
    """Why the feature set in `features` is unfit for the data set in `dataset`, where both are."""
    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition.feature_set import load_feature_set

    if not (given.get("features") and given.get("dataset")):
        return []
    return load_feature_set(given["features"]).check_against(load_dataset(given["dataset"]))


def _space(name: str) -> str:
    from fraudlake.models.space import load_space

    load_space(name)
    return name


DatasetName = Annotated[str, AfterValidator(_dataset)]
FeatureSetName = Annotated[str, AfterValidator(_feature_set)]
ContenderName = Annotated[str, AfterValidator(_contender)]
SpaceName = Annotated[str, AfterValidator(_space)]
GateName = Annotated[
    str | None,
    AfterValidator(_gate),
    Field(description="name in conf/gates; if left out, FRAUDLAKE_GATE, else default"),
]
