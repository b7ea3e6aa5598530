"""A table gets another definition: what both define alike stays, the rest is computed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.compute import compute
from fraudlake.features.batch.survey import survey
from fraudlake.features.definition.feature_set import KERNEL_VERSION, FeatureSet, hash_of
from fraudlake.features.table.arrivals import WholeBuildError
from fraudlake.lake import Lake
from fraudlake.lake.scan import Scan
from fraudlake.lake.tables import FEATURES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Conversion:
    """How rows of one definition become rows of another; lists of feature names."""

    kept: list[str]
    computed: list[str]
    dropped: list[str]


def conversion(before: str, feature_set: FeatureSet) -> Conversion:
    """What of another definition still holds.

    Parameters
    ----------
    before
        The other definition: its `FeatureSet.text`.

    Returns
    -------
    Conversion
        A feature is kept if name and meaning are the same; a ratio, if both its parts are kept.

    Examples
    --------
    >>> from fraudlake.features.definition.feature_set import load_feature_set
    >>> handbook = load_feature_set("handbook")
    >>> conversion(handbook.only(["amount", "night"]).text, handbook.only(["amount", "weekend"]))
    Conversion(kept=['amount'], computed=['weekend'], dropped=['night'])
    """
    other = json.loads(before)
    meanings = {content["name"]: content for content in other["features"]}
    alike = {
        feature.name
        for feature in feature_set.features
        if other["kernel"] == KERNEL_VERSION and meanings.get(feature.name) == feature.content()
    }
    kept = [
        feature.name
        for feature in feature_set.features
        if feature.name in alike
        and (feature.kind != "ratio" or {feature.column, feature.other} <= alike)
    ]
    names = [feature.name for feature in feature_set.features]
    return Conversion(
        kept,
        [name for name in names if name not in kept],
        [name for name in meanings if name not in names],
    )


def converted(
    lake: Lake,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    transactions: DataFrame,
    statements: DataFrame | None,
) -> tuple[DataFrame, Conversion]:
    """The standing rows of the feature table as another definition has them.

    Kept values are as fresh as the table; only the features that are new, or mean something else,
    are computed, as of the transactions and statements given here.

    Parameters
    ----------
    entities
        Entity → its column, for all entities of the data set.
    transactions
        All transactions; those that the table has no row for only count in windows.
    statements
        Labels; None where no feature is over labels.

    Returns
    -------
    tuple
        Rows as `compute` gives them, one for each standing row that has a transaction; and what
        they were made from.

    Raises
    ------
    WholeBuildError
        The table does not say what its columns mean, lacks an entity, or has nothing to keep.
    """
    from pyspark.sql import functions as F

    existing = lake.read(FEATURES)
    text = lake.properties(FEATURES).get("definition", "")
    if existing.select("definition").first() != (hash_of(text),):
        raise WholeBuildError("the table does not say what its columns mean")
    plan = conversion(text, feature_set)
    base = ["tx_id", "event_time", *dict.fromkeys(entities.values())]
    lacking = sorted(set(base) - set(existing.columns))
    if lacking or not plan.kept:
        raise WholeBuildError(f"it lacks {', '.join(lacking) or 'every feature of the new set'}")
    rows = existing.select(*base, *plan.kept)
    if plan.computed:
        missing = [f for f in feature_set.features if f.name in plan.computed]
        parts = {name for f in missing if f.kind == "ratio" for name in (f.column, f.other)}
        part = feature_set.only({*plan.computed, *parts})
        seen = survey(Scan(transactions), part, entities)
        computed = compute(transactions, None, statements, part, entities, seen)
        rows = rows.join(computed.select("tx_id", *plan.computed), "tx_id")
    names = [feature.name for feature in feature_set.features]
    return rows.select(*base, *names, F.lit(feature_set.hash).alias("definition")), plan
