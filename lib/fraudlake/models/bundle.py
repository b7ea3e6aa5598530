"""A model on disk: `scorer.json` and one weights file, pinned by SHA-256, opened by nothing else.

Weights are XGBoost's UBJ, safetensors or JSON: data only, so that opening a model never runs code.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fraudlake.errors import FraudlakeError
from fraudlake.models import kinds
from fraudlake.models.scorer import BundleManifest, Line, Scorer, Weights

if TYPE_CHECKING:
    from fraudlake.models.calibration import Calibration
    from fraudlake.models.encoding import Encoding

MANIFEST = "scorer.json"


class BundleError(FraudlakeError):
    """A bundle is not what it should be; it was not opened."""


def pack(
    kind: str,
    features: Mapping[str, Encoding | None],
    definition: str,
    label_delay: timedelta,
    weights: bytes,
    calibration: Calibration,
    alert_scores: Sequence[float],
    alert_days: float,
    settings: Mapping[str, Any],
) -> dict[str, bytes]:
    """The files of a bundle. Equal arguments give equal bytes.

    Parameters
    ----------
    kind
        Name of the kind of model; its `Kind.weights` names the weights file.
    features
        Feature columns, in the order of the training matrix, with what their categories stand for;
        None for numbers.
    definition
        Hash of the feature definitions.
    label_delay
        Label delay of the training data.
    alert_scores
        Highest calibrated scores of the days set aside for the threshold; put in descending order.
    alert_days
        How many days those are.
    settings
        What the model was trained with; kept for the reader, scoring does not look at it.

    Returns
    -------
    dict
        File name → content: `scorer.json` and the weights file.
    """
    name = kinds.kind_of(kind).weights
    manifest = BundleManifest(
        kind=kind,
        features=tuple(features),
        definition=definition,
        label_delay=label_delay,
        calibration=Line(slope=calibration.slope, intercept=calibration.intercept),
        alert_scores=tuple(sorted(map(float, alert_scores), reverse=True)),
        alert_days=alert_days,
        weights=Weights(file=name, sha256=_sha256(bytes(weights))),
        settings=dict(settings),
        encodings={name: encoding for name, encoding in features.items() if encoding},
    )
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True)
    return {MANIFEST: text.encode() + b"\n", name: bytes(weights)}


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 of a bundle: what `sha256sum scorer.json weights.* | sha256sum` prints.

    >>> digest({"b": b"", "a": b""}) == digest({"a": b"", "b": b""})
    True
    """
    lines = [f"{_sha256(files[name])}  {name}\n" for name in sorted(files)]
    return _sha256("".join(lines).encode())


def load(files: Mapping[str, bytes], expected_digest: str | None = None) -> Scorer:
    """Check a bundle, then open it.

    Parameters
    ----------
    files
        File name → content, as `pack` gave them.
    expected_digest
        What `digest` gave when the model was registered. Without it only the weights are checked,
        against `scorer.json`.

    Raises
    ------
    BundleError
        A file is missing or too many, a digest differs, `scorer.json` is not a manifest, or the
        weights do not fit it. Digests are compared before anything is parsed.
    """
    actual = digest(files)
    if expected_digest is not None and not hmac.compare_digest(actual, expected_digest):
        raise BundleError(
            f"model bundle: got SHA-256 {actual}, expected {expected_digest}: the files are not "
            "those that were registered; restore them, or train and register the model again"
        )
    try:
        manifest = BundleManifest.model_validate_json(files[MANIFEST])
    except KeyError:
        raise BundleError(
            f"model bundle: got files {', '.join(sorted(files)) or 'none'}, expected {MANIFEST} "
            "and one weights file"
        ) from None
    except ValidationError as error:
        raise BundleError(f"{MANIFEST}: expected a model's manifest, got {error}") from None
    kind = kinds.kind_of(manifest.kind) if kinds.is_name(manifest.kind) else None
    named = sorted([MANIFEST, manifest.weights.file])
    if kind is None or kind.weights != manifest.weights.file or sorted(files) != named:
        known = (f"{kinds.kind_of(name).weights} ({name})" for name in kinds.NAMES)
        raise BundleError(
            f"model bundle of kind {manifest.kind!r}: got files {', '.join(sorted(files))} and "
            f"weights in {manifest.weights.file}, expected {MANIFEST} and one of "
            + ", ".join(known)
        )
    weights = files[manifest.weights.file]
    if not hmac.compare_digest(_sha256(weights), manifest.weights.sha256):
        raise BundleError(
            f"{manifest.weights.file}: got SHA-256 {_sha256(weights)}, expected "
            f"{manifest.weights.sha256} as {MANIFEST} says; restore the file, or train again"
        )
    try:
        return kind.scorer(manifest, weights, actual)
    except ValueError as error:
        raise BundleError(f"{manifest.weights.file}: {error}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
