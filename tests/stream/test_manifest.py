"""What stands on disk of a batch keeps its names, whatever ours are."""

import json

from fraudlake.stream.manifest import BatchManifest, Decision

STORED = {
    "batch_id": 7,
    "decision": {"models": [[3, "ab"], [4, "cd"]], "threshold": 0.5},
    "labels_version": 2,
    "newest": 1522540800000000,
    "runs": {"transactions": ["w000000000000", "b000000000006"], "labels": ["w000000000000"]},
    "versions": {"scores": 5, "flagged": 4},
    "alone": True,
}


def test_a_manifest_is_read_and_written_as_it_always_was():
    manifest = BatchManifest.of(STORED)
    assert manifest.sole_writer
    assert manifest.decision == Decision(((3, "ab"), (4, "cd")), 0.5)
    assert manifest.runs["labels"] == ("w000000000000",)
    # An older batch flagged; that is said now.
    decision = {"decision": {**STORED["decision"], "flags": True}}
    assert json.loads(json.dumps(manifest.stored())) == STORED | decision
