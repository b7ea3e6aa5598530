"""Feed-forward network for rows of features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class FeedForward(nn.Module):
    """Linear layers with ReLU and dropout between them, and one logit at the end.

    Parameters
    ----------
    n_inputs
        Features f.
    hidden
        Units of each hidden layer.
    dropout
        Share of hidden units dropped while training, 0 ≤ dropout < 1.

    Shapes
    ------
    Input float32 [n, f], standardised; output float32 [n], log-odds of fraud.

    Examples
    --------
    >>> import torch
    >>> FeedForward(3, [8, 4], 0.2)(torch.zeros(5, 3)).shape
    torch.Size([5])
    """

    def __init__(self, n_inputs: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        pairs = pairwise([n_inputs, *hidden, 1])
        self.linear = nn.ModuleList(nn.Linear(before, after) for before, after in pairs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Margins: float32 [n, inputs] → [n]."""
        for layer in self.linear[:-1]:
            x = self.dropout(nn.functional.relu(layer(x)))
        return self.linear[-1](x).squeeze(-1)
