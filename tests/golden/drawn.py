"""What the scripts of this folder share: weights and pictures that need not be stored, because a rule draws them."""

import numpy as np
import torch

BASE, STRIDE = 20220301, 31
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def uniform(seed, count):
    """SplitMix64 in [0, 1), as the README of the golden files defines it."""
    z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def parameter(name, shape, seed):
    u = uniform(seed, int(np.prod(shape)))
    symmetric = lambda bound: (bound * (2 * u - 1)).astype(np.float32).astype(np.float64)
    last = name.split(".")[-1]
    if len(shape) > 1:
        values = symmetric((6 / np.prod(shape[1:])) ** 0.5)
    elif last == "running_var":
        values = (1 + 0.2 * u).astype(np.float32).astype(np.float64)
    elif last in ("weight", "gamma"):
        values = 1 + symmetric(0.1)
        values = values.astype(np.float32).astype(np.float64)
    else:
        values = symmetric(0.1)
    return torch.from_numpy(values.reshape(shape))


def normalized(picture, statistics):
    # The constants are float32 in the reference.
    mean, deviation = (torch.tensor(x, dtype=torch.float32).double().reshape(3, 1, 1) for x in statistics)
    return (picture - mean) / deviation

