"""A training that fails leaves its checkpoints and no rows; the next one goes on from them."""

import pytest
from tests.shards import Alone

from fraudlake.models.mlp import fit, ranks
from fraudlake.models.mlp.contender import MlpContender

CONTENDER = MlpContender(kind="mlp", hidden=(4,), batch_size=32, epochs=3, patience=2)


def test_what_failed_goes_on_and_leaves_nothing(spark, tmp_path, monkeypatch, capsys):
    def here(_spark, function, _workers, arguments, _device):
        return [function(Alone(), *arguments)]

    monkeypatch.setitem(fit.LAUNCHERS, "horovod", here)
    rows = spark.range(300).selectExpr(
        "id AS tx_id",
        "CAST(id % 7 AS float) AS a",
        "CAST(IF(id % 3 = 0, NULL, id % 5) AS float) AS b",
        "CAST(id % 7 > 4 AS int) AS label",
        "id >= 200 AS held_out",
    )
    rows = rows.repartition(2, "tx_id")
    whole = fit.fit(rows, ["a", "b"], CONTENDER, 1, str(tmp_path / "whole"))
    assert len(whole.curves["train_loss"]) <= 3
    assert whole.metrics == {name: curve[-1] for name, curve in whole.curves.items()}

    # Some way into the second fit.
    step, left = ranks._step, [3 * 4 + 5]

    def failing(*arguments):
        left[0] -= 1
        if not left[0]:
            raise OSError("the disk is gone")
        return step(*arguments)

    scratch = tmp_path / "scratch"
    with monkeypatch.context() as patched:
        patched.setattr(ranks, "_step", failing)
        with pytest.raises(OSError, match="the disk is gone"):
            fit.fit(rows, ["a", "b"], CONTENDER, 1, str(scratch))
    assert [path.name for path in scratch.iterdir() if path.suffix != ".crc"] == ["checkpoints"]
    assert fit.fit(rows, ["a", "b"], CONTENDER, 1, str(scratch)) == whole
    assert "training goes on from checkpoint" in capsys.readouterr().err
    assert not scratch.exists()
    assert not (tmp_path / "whole").exists()


def test_the_fingerprint_is_of_what_changes_weights():
    said = MlpContender(kind="mlp").model_dump(mode="json")
    assert MlpContender(kind="mlp", checkpoint_steps=5).model_dump(mode="json") == said
    for change in ({"precision": "bf16"}, {"memory_mb": 99}, {"launcher": "ddp"}, {"clip": 1}):
        assert MlpContender(kind="mlp", **change).model_dump(mode="json") != said
