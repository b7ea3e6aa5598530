"""Feed-forward networks: weights as safetensors, scored in NumPy without PyTorch, to the bit.

Adding floating-point numbers in another order gives other last bits, and a matrix product adds in
an order that depends on the batch's shape, the row's place in it, threads and machine. Here every
product is exact instead: both factors are first rounded to a grid coarse enough for all partial
sums to be whole numbers up to 2⁵³ in grid units, so that no order can matter. A row's grid is taken
from that row alone. It has 22 bits for 512 inputs and 24 for 15, close to float32's own 24.

This is the first slice of Ozaki, Ogita, Oishi, Rump (2012), Error-free transformations of matrix
multiplication by using fast routines of matrix multiplication and its applications.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from fraudlake.models.scorer import Scorer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# A power of two, so that nodes and shares of the path are exact.
_STEPS = 128
_BLOCK = 4096


def to_safetensors(state_dict: Mapping[str, ArrayLike], mean: ArrayLike, std: ArrayLike) -> bytes:
    """Weights file of a `FeedForward` network and its scaling.

    Parameters
    ----------
    state_dict
        Of a `FeedForward`, on the CPU. `linear.0` alone is a logistic regression.
    mean, std
        Mean and standard deviation of each feature over the training rows, float64 [f].
    """
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in state_dict.items()}
    tensors["mean"] = np.array(mean, dtype=np.float64)
    tensors["std"] = np.array(std, dtype=np.float64)
    return save(tensors)


def standardise(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(x − mean) / std in float64, 0 (the mean) where x is NaN; shapes [n, f], [f], [f] → [n, f].

    A deviation of less than a millionth of the mean is 0 but for rounding: such a feature is only
    centred. Training feeds the network with this too, cast to float32.

    >>> x = np.array([[3.0, 5.0], [np.nan, 6.0]])
    >>> standardise(x, mean=np.array([1.0, 5.0]), std=np.array([2.0, 0.0]))
    array([[1., 0.],
           [0., 1.]])
    """
    spread = np.where(std > 1e-6 * np.abs(mean), std, 1.0)
    scaled = (np.asarray(x, dtype=np.float64) - mean) / spread
    return np.where(np.isnan(scaled), 0.0, scaled)


def on_grid(x: np.ndarray, terms: int) -> np.ndarray:
    """Round each row to a grid on which sums of `terms` products are exact in float64.

    With β = ⌊(53 − ⌈log₂ terms⌉) / 2⌋ bits and 2ᵉ above the row's largest magnitude, the result is
    a multiple of 2ᵉ⁻ᵝ no larger than 2ᵉ. A product of two such numbers is a multiple of the product
    of the grids, and `terms` of them stay within 2⁵³ of it.

    >>> on_grid(np.array([[1.0, 1e-9]]), 16)
    array([[1., 0.]])
    """
    bits = (53 - (terms - 1).bit_length()) // 2
    _, exponent = np.frexp(np.abs(x).max(axis=1, keepdims=True))
    # Rows of nothing but dust become 0: their products would underflow, and not be exact.
    exponent = np.maximum(exponent, -400)
    return np.ldexp(np.rint(np.ldexp(x, bits - exponent)), exponent - bits)


def product(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Product x wᵀ of x [n, k] and w [m, k], w already on the grid: [n, m], exact."""
    return on_grid(x, w.shape[1]) @ w.T


class MlpScorer(Scorer):
    """A network of linear layers and ReLU; NaN stands for the training mean. Without a hidden layer
    it is a logistic regression, whose contributions are weight · (x − mean) / std.

    Contributions are integrated gradients (Sundararajan, Taly, Yan 2017) from the row of training
    means: (x − mean) · the mean gradient along the straight path, at the midpoints of 128 equal
    steps. With ReLU the gradient is a step function of the path, for which Gauss–Legendre nodes are
    no better. It leaves a rest, on trained networks about 0.2 % of the difference between the row's
    margin and the base and at most about 1 %; it is shared out in proportion to the contributions'
    magnitudes, so that base and contributions add up to the margin.
    """

    def _open(self, weights: bytes) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(weights)
        except SafetensorError as error:
            raise ValueError(f"got {str(error)!r}, expected safetensors") from None
        self._mean, self._std, layers = self._checked(tensors)
        wide = [(w.astype(np.float64), b.astype(np.float64)) for w, b in layers]
        self._forward = [(on_grid(w, w.shape[1]), b) for w, b in wide]
        self._backward = [on_grid(np.ascontiguousarray(w.T), w.shape[0]) for w, _ in wide]
        self._zero = float(self._margins_of(np.zeros((1, len(self.features))))[0])

    def _checked(
        self, tensors: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """Mean, standard deviation and (weight, bias) of each layer, if they fit each other."""
        inputs = len(self.features)
        expected: dict[str, tuple[int, ...]] = {"mean": (inputs,), "std": (inputs,)}
        depth = (len(tensors) - 2) // 2
        for i in range(depth):
            weight, bias = f"linear.{i}.weight", f"linear.{i}.bias"
            outputs = tensors[bias].size if bias in tensors and i < depth - 1 else 1
            expected |= {weight: (outputs, inputs), bias: (outputs,)}
            inputs = outputs
        got = {name: tensor.shape for name, tensor in tensors.items()}
        if depth < 1 or got != expected:
            raise ValueError(
                f"got tensors {got}, expected those of to_safetensors for {len(self.features)} "
                f"features: {', '.join(self.features)}"
            )
        layers = [
            (tensors[f"linear.{i}.weight"], tensors[f"linear.{i}.bias"]) for i in range(depth)
        ]
        return tensors["mean"], tensors["std"], layers

    def _margins(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([self._margins_of(z) for z in self._scaled(x)])

    def _contributions(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([self._path(z) for z in self._scaled(x)])

    def _base(self) -> float:
        return self._zero

    def _scaled(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """Standardised rows, in blocks that bound the memory of the hidden layers."""
        for start in range(0, len(x), _BLOCK):
            yield standardise(x[start : start + _BLOCK], self._mean, self._std)

    def _margins_of(self, z: np.ndarray) -> np.ndarray:
        for weight, bias in self._forward[:-1]:
            z = np.maximum(product(z, weight) + bias, 0.0)
        weight, bias = self._forward[-1]
        return (product(z, weight) + bias)[:, 0]

    def _gradients(self, z: np.ndarray) -> np.ndarray:
        """Gradient of the margin by the scaled features, [n, f] → [n, f]."""
        active = []
        for weight, bias in self._forward[:-1]:
            z = np.maximum(product(z, weight) + bias, 0.0)
            active.append(z > 0)
        gradient = np.broadcast_to(self._forward[-1][0], (len(z), z.shape[1]))
        for weight, on in zip(reversed(self._backward[:-1]), reversed(active), strict=True):
            gradient = product(gradient * on, weight)
        return gradient

    def _path(self, z: np.ndarray) -> np.ndarray:
        total = np.zeros_like(z)
        # Without a hidden layer the gradient is the same all along.
        steps = _STEPS if len(self._forward) > 1 else 1
        # Node by node, because np.sum picks its order by the array's shape.
        for step in range(steps):
            total += self._gradients((step + 0.5) / steps * z)
        shares = z * (total / steps)
        size = np.abs(shares)
        whole = np.add.accumulate(size, axis=1)[:, -1:]
        part = np.divide(size, whole, out=np.full_like(size, 1 / z.shape[1]), where=whole > 0)
        rest = self._margins_of(z) - self._zero - np.add.accumulate(shares, axis=1)[:, -1]
        return shares + rest[:, None] * part
