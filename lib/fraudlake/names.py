"""Argument types that name a file in `conf/`; the file is read and checked with the arguments."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


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


DatasetName = Annotated[str, AfterValidator(_dataset)]
FeatureSetName = Annotated[str, AfterValidator(_feature_set)]
ContenderName = Annotated[str, AfterValidator(_contender)]
