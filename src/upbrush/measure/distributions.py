"""Distances between sets of pictures, in any features: kernel (KID) with an interval, Fréchet; float64, pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAST_FOR_FRECHET = 2000  # below, the estimate is mostly its own bias (Chong & Forsyth, CVPR 2020)
LEAST_FOR_KID = 10
MOST_FOR_KID = 4000  # beyond, kernels between all pairs take gigabytes


@dataclass(frozen=True)
class Estimate:
    """A value with its interval."""

    value: float
    low: float
    high: float


def kernel(x: Array, y: Array) -> Array:
    """KID's polynomial kernel, (x·y / C + 1)³. (N, C), (M, C) -> (N, M)."""
    values: Array = (x @ y.T / x.shape[1] + 1) ** 3
    return values


def kid(
    x: Array,
    y: Array,
    related: NDArray[np.bool_] | None = None,
    within: NDArray[np.bool_] | None = None,
    groups: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]] = (),
    z: float = 1.96,
) -> Estimate:
    """Kernel distance of two sets (Bińkowski et al., ICLR 2018): the unbiased estimate of the squared MMD.

    x: (N, C) features of outputs, y: (M, C) of references. related: (N, M), where an output was made from or after
    that reference; such pairs are no independent draws and are left out, which keeps the estimate unbiased for paired
    sets. within: (N, N), outputs that share a truth or style, left out likewise. groups: labels of x and of y by each
    thing that pictures share; the interval is the jackknife's that leaves out one group at a time, summed over things.
    Without groups every picture of x and of y is a group of its own.
    """
    n, m = len(x), len(y)
    keep_xx = ~np.eye(n, dtype=bool) if within is None else ~(within | np.eye(n, dtype=bool))
    keep_xy = np.ones((n, m), bool) if related is None else ~related
    keep_yy = ~np.eye(m, dtype=bool)
    keeps = [keep.astype(np.float64) for keep in (keep_xx, keep_xy, keep_yy)]
    kernels = [kernel(a, b) * keep for (a, b), keep in zip(((x, x), (x, y), (y, y)), keeps, strict=True)]
    sums, counts = ([float(values.sum()) for values in matrices] for matrices in (kernels, keeps))
    if not groups:
        groups = [(np.arange(n), np.full(m, -1)), (np.full(n, -1), np.arange(m))]
    variance = 0.0
    for of_x, of_y in groups:
        labels = np.unique(np.concatenate((of_x[of_x >= 0], of_y[of_y >= 0])))
        if len(labels) < 2:
            continue
        gone_x, gone_y = (np.equal.outer(labels, own).astype(np.float64) for own in (of_x, of_y))
        sides = ((gone_x, gone_x), (gone_x, gone_y), (gone_y, gone_y))
        left = []
        for total, count, values, keep, (rows, columns) in zip(sums, counts, kernels, keeps, sides, strict=True):
            left.append((total - _touched(values, rows, columns)) / (count - _touched(keep, rows, columns)).clip(min=1))
        without = left[0] - 2 * left[1] + left[2]
        variance += (len(labels) - 1) / len(labels) * float(((without - without.mean()) ** 2).sum())
    means = [total / max(count, 1) for total, count in zip(sums, counts, strict=True)]
    value = means[0] - 2 * means[1] + means[2]
    half = z * variance**0.5
    return Estimate(value, value - half, value + half)


def _touched(values: Array, rows: Array, columns: Array) -> Array:
    """The sum over all entries in a group's rows or columns. rows: (G, N), columns: (G, M) of 0 and 1. Returns (G,)."""
    across, down = values.sum(1, dtype=np.float64), values.sum(0, dtype=np.float64)
    both = np.einsum("gn,gn->g", rows, columns @ values.T)
    touched: Array = rows @ across + columns @ down - both
    return touched


def frechet(x: Array, y: Array) -> float:
    """Fréchet distance of the Gaussians that fit two sets (Dowson & Landau, 1982). (N, C), (M, C).

    Biased upwards, by more the fewer the pictures: compare only values of equal numbers.
    """
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(cov_x)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_y @ root).clip(min=0)).sum()
    distance = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cov_x) + np.trace(cov_y) - 2 * cross
    return float(max(distance, 0.0))
