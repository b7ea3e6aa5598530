"""One rank's loop: what it learns, when it stops, and that it goes on as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tests.conftest import ROOT
from tests.shards import FEATURES, Alone, rows, write

from fraudlake.launch import snapshot
from fraudlake.models.mlp import ranks
from fraudlake.models.mlp.contender import MlpContender

CONTENDER = MlpContender(
    kind="mlp", workers=1, hidden=(8,), batch_size=32, epochs=5, learning_rate=0.05
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parts = tmp_path_factory.mktemp("rows")
    return write(parts, [rows(400)], [rows(90, seed=1)])


@pytest.fixture(scope="module")
def shards(folder):
    return snapshot.shards(folder, [0], FEATURES, {False})


@pytest.fixture(scope="module")
def held_out(folder):
    return snapshot.shards(folder, [0], FEATURES, {True})


def changed(**settings):
    return CONTENDER.model_copy(update=settings)


def test_loss_falls_and_equal_seeds_give_equal_bytes(shards):
    first = ranks.fit(Alone(), shards, CONTENDER, 1)
    assert first.weights == ranks.fit(Alone(), shards, CONTENDER, 1).weights
    assert first.weights != ranks.fit(Alone(), shards, CONTENDER, 2).weights
    losses = first.progress.train_loss
    assert losses[-1] < losses[0] / 2


def test_a_step_is_the_mean_gradient_of_its_rows_in_plain_pytorch(shards):
    """With one step an epoch all rows are in it: their order and the loader have no say."""
    from safetensors.torch import load

    contender = changed(batch_size=1000, dropout=0.0, hidden=(), epochs=3, weight_decay=0.1)
    found = load(ranks.fit(Alone(), shards, contender, 1).weights)
    x, label = rows(400)
    mean, std = np.nanmean(x, axis=0), np.where([1, 1, 0], np.nanstd(x, axis=0), 1)
    z = torch.tensor(np.nan_to_num((x - mean) / std), dtype=torch.float32)
    y = torch.tensor(label, dtype=torch.float32)
    torch.manual_seed(1)
    line = torch.nn.Linear(3, 1)
    with torch.no_grad():
        line.bias.fill_(torch.logit(y.mean()))
    optimizer = torch.optim.AdamW(line.parameters(), lr=0.05, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=3)
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(line(z)[:, 0], y).backward()
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(found["linear.0.weight"], line.weight.detach(), atol=1e-4)
    np.testing.assert_allclose(found["linear.0.bias"], line.bias.detach(), atol=1e-4)


def test_batches_added_up_are_one_batch(shards):
    from safetensors.numpy import load

    whole = load(ranks.fit(Alone(), shards, changed(batch_size=64, dropout=0.0), 1).weights)
    parts = changed(batch_size=16, accumulate=4, dropout=0.0)
    added = load(ranks.fit(Alone(), shards, parts, 1).weights)
    for name, tensor in whole.items():
        np.testing.assert_allclose(added[name], tensor, rtol=1e-4, atol=1e-4)


def test_a_long_gradient_is_shortened(shards):
    model = torch.nn.Linear(3, 1)
    model.forward = lambda x: torch.nn.functional.linear(x, model.weight, model.bias)[:, 0]
    x, label = 1000 * torch.ones(10, 3), torch.zeros(10)
    ranks._step(Alone(), model, x, label, 10, changed(clip=0.5))
    norm = torch.cat([each.grad.reshape(-1) for each in model.parameters()]).norm()
    assert 0 < float(norm) <= 0.5 + 1e-6


def test_half_precision_is_near_and_not_the_same(shards):
    whole = ranks.fit(Alone(), shards, CONTENDER, 1)
    half = ranks.fit(Alone(), shards, changed(precision="bf16"), 1)
    assert half.weights != whole.weights
    assert half.progress.train_loss[-1] == pytest.approx(whole.progress.train_loss[-1], rel=0.1)


def test_without_a_lower_loss_on_the_held_out_rows_it_ends_with_the_best(shards, held_out):
    """Held-out rows have turned labels: what is learned makes them worse at once."""
    x, label = rows(90, seed=1)
    turned = [type("Turned", (), {"number": 0, "features": FEATURES, "rows": 90, "groups": [0]})()]
    turned[0].read = lambda _: (x, 1 - label.astype(np.float32))
    fitted = ranks.fit(Alone(), shards, changed(patience=2), 1, held_out=turned)
    assert len(fitted.progress.train_loss) == 3
    assert fitted.progress.best_epoch() == 1
    one = ranks.fit(Alone(), shards, CONTENDER, 1, epochs=1)
    assert fitted.weights == one.weights
    assert (
        len(
            ranks.fit(
                Alone(), shards, changed(patience=2), 1, held_out=held_out
            ).progress.train_loss
        )
        > 3
    )


@pytest.mark.parametrize("memory_rows", [100, 10_000])
def test_it_goes_on_from_any_step_to_the_same_bits(shards, monkeypatch, memory_rows):
    """Dropout is on: its draws come back too."""
    import copy

    contender = changed(checkpoint_steps=1, epochs=3)
    loader = "fraudlake.launch.loader.Loader"
    from fraudlake.launch.loader import Loader

    bytes_ = 6 * 24 * memory_rows
    monkeypatch.setattr(loader, lambda shard, _, *more: Loader(shard, bytes_, *more))
    states = []
    whole = ranks.fit(
        Alone(), shards, contender, 1, lambda *state: states.append(copy.deepcopy(state[1]))
    )
    assert len(states) == 3 * 13
    for state in states[::5] + states[12:14] + states[-1:]:
        resumed = ranks.fit(Alone(), shards, contender, 1, state=copy.deepcopy(state))
        assert resumed.weights == whole.weights
        assert resumed.progress.train_loss == whole.progress.train_loss


PROGRAM = """
import os, sys, time
from tests.shards import FEATURES, Alone
from fraudlake.models.mlp import ranks
from fraudlake.models.mlp.contender import MlpContender
folder, checkpoints, out, pause = sys.argv[1:]
step = ranks._step
def slow(*arguments):
    time.sleep(float(pause))
    return step(*arguments)
ranks._step = slow
contender = MlpContender(kind="mlp", workers=1, hidden=(8,), batch_size=32, epochs=5, patience=3,
                         learning_rate=0.05, checkpoint_steps=3)
done = ranks.train(Alone(), folder, checkpoints, FEATURES, contender, 1)
open(out, "wb").write(done["early"] + done["final"])
"""


def start(folder, checkpoints, out, pause):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, folder, checkpoints.as_uri(), str(out), str(pause)],
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kills", [1, pytest.param(25, marks=pytest.mark.slow)])
def test_killed_and_started_again_the_weights_are_the_same(folder, tmp_path, kills):
    """One kill is the short form; the long one has many, each wherever it falls."""
    whole = ranks.train(
        Alone(),
        folder,
        (tmp_path / "whole").as_uri(),
        FEATURES,
        changed(patience=3, checkpoint_steps=3),
        1,
    )
    draw, checkpoints, out = random.Random(3), tmp_path / "killed", tmp_path / "weights"
    for number in range(kills):
        process = start(folder, checkpoints, out, 0.02)
        before = set(checkpoints.glob("*"))
        deadline = time.monotonic() + 60
        while set(checkpoints.glob("*[!t]")) <= before and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.2) if kills > 1 else 0.1 * number)
        assert process.poll() is None or out.exists()
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        if out.exists():
            break
    process = start(folder, checkpoints, out, 0)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "training goes on from checkpoint" in said
    assert out.read_bytes() == whole["early"] + whole["final"]
