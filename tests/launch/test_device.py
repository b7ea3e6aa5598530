"""Where a rank computes, on machines with and without GPUs."""

import pytest
import torch

from fraudlake.errors import SetupError
from fraudlake.launch import device


@pytest.fixture
def gpus(monkeypatch):
    """A function: the machine has so many GPUs; gives those that a rank was set to."""
    taken = []

    def have(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "set_device", taken.append)
        return taken

    return have


@pytest.mark.parametrize(
    ("count", "said", "addresses", "local_rank", "expected"),
    [
        (0, "auto", [], 0, "cpu"),
        (2, "cpu", ["1"], 1, "cpu"),
        (2, "auto", [], 1, "cuda:1"),
        (2, "cuda", ["0"], 1, "cuda:0"),
    ],
)
def test_a_rank_has_a_device_of_its_own(gpus, count, said, addresses, local_rank, expected):
    taken = gpus(count)
    assert device.choose(said, addresses, local_rank) == expected
    assert taken == ([] if expected == "cpu" else [int(expected[-1])])


@pytest.mark.parametrize(("count", "said"), [(0, "cuda"), (1, "auto")])
def test_too_few_gpus_are_refused(gpus, count, said):
    gpus(count)
    with pytest.raises(SetupError, match=f"device: got {said} and {count} GPUs"):
        device.choose(said, [], 1)


@pytest.mark.gpu
def test_a_gpu_is_taken_where_there_is_one():
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA device")
    assert torch.zeros(1, device=device.choose("auto", [], 0)).is_cuda
