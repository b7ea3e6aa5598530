"""Isolation forest by scikit-learn, written down as trees of XGBoost, whose scorer explains it.

A tree needs a few rows and no more, so a sample of all is trained on in one process, however many
there are. Liu, Ting, Zhou (2008), Isolation forest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudlake.models.encoding import to_matrix
from fraudlake.models.kind import Fitted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from sklearn.ensemble import IsolationForest

    from fraudlake.models.isolation.contender import IsolationContender

_EULER = float(np.euler_gamma)
_NO_PARENT = 2**31 - 1


def fit(
    rows: DataFrame,
    features: Sequence[str],
    contender: IsolationContender,
    seed: int,
    scratch: str,  # noqa: ARG001
) -> Fitted:
    """Two forests (`kind.Fit`)."""
    early = _forest(rows.where("NOT held_out"), features, contender, seed)
    return Fitted(early, _forest(rows, features, contender, seed))


def _forest(
    rows: DataFrame, features: Sequence[str], contender: IsolationContender, seed: int
) -> bytes:
    from pyspark.sql import functions as F
    from sklearn.ensemble import IsolationForest

    number = contender.trees * contender.sample
    drawn = rows.orderBy(F.xxhash64("tx_id", F.lit(seed)), "tx_id").limit(number)
    largest = np.finfo(np.float32).max
    x = to_matrix(drawn.select(*features).toArrow(), features, {}).clip(-largest, largest)
    sample = min(contender.sample, len(x))
    forest = IsolationForest(n_estimators=contender.trees, max_samples=sample, random_state=seed)
    return to_ubj(forest.fit(x.astype(np.float32)), features)


def to_ubj(forest: IsolationForest, features: Sequence[str]) -> bytes:
    """The forest as a booster in UBJ whose margin is 1 − path / mean path.

    Path is the mean, over the trees, of the cuts until a row is alone, and mean path what it would
    be in a search tree of as many rows: scikit-learn's score is 2^(−path / mean path).
    """
    import xgboost

    mean = _mean_path(np.array([forest.max_samples_]))[0]
    trees = [
        _tree(estimator.tree_, place, mean, len(forest.estimators_), len(features))
        for place, estimator in enumerate(forest.estimators_)
    ]
    count = {"num_trees": str(len(trees)), "num_parallel_tree": str(len(trees))}
    model = {
        "gbtree_model_param": count,
        "trees": trees,
        "tree_info": [0] * len(trees),
        "iteration_indptr": [0, len(trees)],
    }
    learner = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"name": "gbtree", "model": model},
        "learner_model_param": {
            "base_score": "0", "boost_from_average": "0", "num_class": "0", "num_target": "1",
            "num_feature": str(len(features)),
        },
        "objective": {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}},
    }  # fmt: skip
    content = json.dumps({"version": [3, 0, 0], "learner": learner})
    booster = xgboost.Booster()
    booster.load_model(bytearray(content.encode()))
    booster.feature_names = list(features)
    return bytes(booster.save_raw("ubj"))


def _tree(tree: Any, place: int, mean: float, trees: int, width: int) -> dict[str, Any]:
    """One tree of scikit-learn in XGBoost's JSON."""
    # XGBoost takes the node after a left child for the right one: level by level, from the root.
    order, parents, depth = [0], [_NO_PARENT], [0]
    for number, node in enumerate(order):
        if tree.children_left[node] >= 0:
            order += [tree.children_left[node], tree.children_right[node]]
            parents += [number] * 2
            depth += [depth[number] + 1] * 2
    is_leaf = tree.children_left[order] < 0
    left = np.where(is_leaf, -1, 2 * np.cumsum(~is_leaf) - 1)
    rows = tree.n_node_samples[order]
    leaves = (1 - (depth + _mean_path(rows)) / mean) / trees
    # Left is x ≤ threshold there, and x < threshold here: the next float32.
    exact = tree.threshold[order]
    cuts = exact.astype(np.float32)
    cuts = np.where(cuts > exact, cuts, np.nextafter(cuts, np.float32(np.inf)))
    nodes = len(order)
    return {
        "id": place,
        "tree_param": {
            "num_nodes": str(nodes), "num_feature": str(width), "num_deleted": "0",
            "size_leaf_vector": "1",
        },
        "left_children": left.tolist(),
        "right_children": np.where(is_leaf, -1, left + 1).tolist(),
        "parents": parents,
        "split_indices": np.where(is_leaf, 0, tree.feature[order]).tolist(),
        "split_conditions": np.where(is_leaf, leaves, cuts).tolist(),
        "split_type": [0] * nodes,
        "default_left": tree.missing_go_to_left[order].astype(int).tolist(),
        "sum_hessian": rows.astype(float).tolist(),
        "base_weights": leaves.tolist(),
        "loss_changes": [0.0] * nodes,
        "categories": [], "categories_nodes": [], "categories_segments": [],
        "categories_sizes": [],
    }  # fmt: skip


def _mean_path(rows: np.ndarray) -> np.ndarray:
    """Cuts until a row is alone among so many, on average.

    >>> _mean_path(np.array([1, 2, 256])).round(2).tolist()
    [0.0, 1.0, 10.24]
    """
    many = np.maximum(rows, 3)
    path = 2 * (np.log(many - 1.0) + _EULER) - 2 * (many - 1.0) / many
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, path))
