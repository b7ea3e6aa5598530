"""Bundles: digests are compared before anything is opened, and nothing is unpickled."""

import hashlib
import json
import pickle
from datetime import timedelta

import pytest

from fraudlake.models import bundle
from fraudlake.models.bundle import BundleError

from .conftest import FEATURES, LINE, SCORES, packed


def changed(files, **values):
    """The bundle with other values in `scorer.json`."""
    manifest = json.loads(files["scorer.json"]) | values
    return {**files, "scorer.json": json.dumps(manifest).encode()}


def with_weights(files, weights):
    """The bundle with other weights, and their right SHA-256 in `scorer.json`."""
    name = next(name for name in files if name != "scorer.json")
    entry = {"file": name, "sha256": hashlib.sha256(weights).hexdigest()}
    return {**changed(files, weights=entry), name: weights}


def test_round_trip(scorer, files, kind):
    assert scorer.kind == kind
    assert scorer.features == FEATURES
    assert scorer.definition == "abc"
    assert scorer.label_delay == timedelta(days=7)
    assert scorer.digest == bundle.digest(files)


def test_equal_arguments_give_equal_bytes(booster):
    weights = booster.save_raw("ubj")
    assert packed("xgboost", weights) == packed("xgboost", weights)


def test_alert_scores_are_put_in_descending_order(files):
    manifest = json.loads(files["scorer.json"])
    assert manifest["alert_scores"] == sorted(SCORES, reverse=True)
    assert manifest["calibration"] == {"slope": LINE.slope, "intercept": LINE.intercept}


def test_digest_is_what_sha256sum_says(files):
    lines = "".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n" for n in sorted(files))
    assert bundle.digest(files) == hashlib.sha256(lines.encode()).hexdigest()


def test_digest_sees_every_file(files):
    found = {bundle.digest(files)}
    for name in files:
        found.add(bundle.digest({**files, name: files[name] + b" "}))
    found.add(bundle.digest({**files, "more": b""}))
    assert len(found) == 4


@pytest.mark.parametrize("position", [0, 0.5, 1])
@pytest.mark.parametrize("part", ["scorer.json", "weights"])
def test_one_changed_byte_is_refused(files, part, position):
    name = next(name for name in files if name.startswith(part))
    data = bytearray(files[name])
    data[int(position * (len(data) - 1))] ^= 1
    with pytest.raises(BundleError, match=r"got SHA-256 .*, expected .* not those that were"):
        bundle.load({**files, name: bytes(data)}, bundle.digest(files))


def test_changed_weights_are_refused_by_the_manifest_alone(files):
    name = next(name for name in files if name != "scorer.json")
    with pytest.raises(BundleError, match=rf"{name}: got SHA-256 .*, expected .* scorer.json says"):
        bundle.load({**files, name: files[name] + b"\0"})


class Bomb:
    """Opening its pickle runs code."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def test_a_pickle_is_never_opened(files):
    with pytest.raises(BundleError, match="expected"):
        bundle.load(with_weights(files, pickle.dumps(Bomb())))


def test_junk_weights(files):
    for weights in (b"", b"{}", b"\0" * 100):
        with pytest.raises(BundleError, match="expected"):
            bundle.load(with_weights(files, weights))


def test_weights_of_other_features(files):
    with pytest.raises(BundleError, match=r"2.*: f0, more"):
        bundle.load(changed(files, features=["f0", "more"]))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "pickle"},
        {"weights": {"file": "../weights.ubj", "sha256": "0" * 64}},
        {"calibration": {"slope": -1.0, "intercept": 0.0}},
        {"calibration": {"slope": float("nan"), "intercept": 0.0}},
        {"features": []},
        {"alert_days": 0},
        {"surprise": 1},
    ],
)
def test_a_wrong_manifest_is_refused(files, values):
    with pytest.raises(BundleError, match="expected"):
        bundle.load(changed(files, **values))


def test_missing_and_extra_files(files):
    with pytest.raises(BundleError, match=r"expected scorer.json and one weights file"):
        bundle.load({})
    with pytest.raises(BundleError, match=r"got files more, scorer.json"):
        bundle.load({**files, "more": b""})
    with pytest.raises(BundleError, match=r"got files scorer.json and weights in"):
        bundle.load({"scorer.json": files["scorer.json"]})
