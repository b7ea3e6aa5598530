"""Where a rank computes: the one place that says so."""

from __future__ import annotations

from collections.abc import Sequence

from fraudlake.errors import SetupError


def choose(device: str, addresses: Sequence[str], local_rank: int) -> str:
    """A device of the rank's own, as PyTorch calls it: `cpu` or `cuda:N`, which it then is set to.

    Parameters
    ----------
    device
        `cpu`, `cuda`, or `auto`: a GPU where there is one.
    addresses
        GPUs that Spark has given the task, numbers among those that the process sees. None where
        `spark.task.resource.gpu.amount` is not set: then the rank takes the one of its own number.
    local_rank
        Its number among the ranks of its machine.

    Raises
    ------
    SetupError
        There is no GPU, or none that no other rank has.
    """
    import torch

    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(addresses[0]) if addresses else local_rank
    if number >= count:
        raise SetupError(
            f"device: got {device} and {count} GPUs that this rank sees, expected one for each "
            f"rank of a machine, this being number {number}: take fewer workers a machine, set "
            "spark.task.resource.gpu.amount=1 so that Spark deals them out, or train with "
            "device: cpu"
        )
    torch.cuda.set_device(number)
    return f"cuda:{number}"
