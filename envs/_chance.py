"""Randomness that is part of a state: what moves by chance follows from one number, which changes with every step.

So a step stays a function of state and action, and what was recorded can be replayed to the bit.
"""

import numpy as np

SIZE = 2**32  # the number is a whole one below it


def draw(chance: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """chance (n,) -> n times `count` numbers (n, count), uniform in [0, 1), and the next chance (n,) float64."""
    stream = chance.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15) + np.arange(
        1, count + 2, dtype=np.uint64
    )
    mixed = _mix(_mix(stream))
    return (mixed[:, :count] >> np.uint64(11)) * 2.0**-53, (mixed[:, count] >> np.uint64(32)).astype(np.float64)


def valid(chance: np.ndarray) -> np.ndarray:
    """chance (n,) -> (n,) bool: whether it is such a number."""
    return (chance >= 0) & (chance < SIZE) & (chance == np.floor(chance))


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014); whole numbers overflow as they should."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
