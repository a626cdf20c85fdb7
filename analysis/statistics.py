"""Intervals, differences and tests over training seeds and planning tasks: pure functions of arrays.

The replication unit is the training seed. All S seeds of all arms plan the same M tasks, so outcomes (S, M) are a
two-way layout: seeds and tasks are both samples of what the study speaks about, and both are counted. Intervals and
p-values are None where fewer than three seeds, or no spread at all, leave nothing to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.05
LEAST_SEEDS = 3  # with fewer there is no interval
EXACT_SEEDS = 16  # up to here all 2^S sign flips are tried
DRAWS = 20_000  # random sign flips beyond


class Estimate(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float | None = None
    high: float | None = None


class Difference(NamedTuple):
    """Arm minus baseline with its 95 % interval and p-values (two-sided, but for `p_equivalent`)."""

    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None  # of no difference; below 0.05 exactly where the interval excludes 0
    p_exact: float | None = None  # by flipping the signs of the seeds' differences
    p_least: float | None = None  # the smallest that `p_exact` can be with so many seeds
    p_equivalent: float | None = None  # of a difference of the margin or more (two one-sided tests)


class Spread(NamedTuple):
    """A variance of a mean and the degrees of freedom it is known with."""

    variance: float
    df: float


def success_rate(solved: np.ndarray) -> Estimate:
    """A method's success rate from `solved` (S, M) by Wilson's interval on an effective number of tries.

    n = p (1 - p) / variance (`_spreads`), at most S M, with the t quantile of that variance in place of the normal one:
    S - 1 degrees of freedom where the seeds make the variance. Wilson's form keeps it in [0, 1] and, with n = S M and
    t(S - 1) where nothing varied, wider than a point at 100 %.
    """
    x = np.asarray(solved, float)
    mean = float(x.mean())
    if len(x) < LEAST_SEEDS:
        return Estimate(mean)
    chance = mean * (1 - mean)
    tasks = x.shape[1]
    shrunk = (mean * tasks + 1) / (tasks + 2)
    sampled, least = _spreads(x, 1.0)
    per_try = sampled.variance / chance if chance > 1e-12 else 1 / x.size
    quantiles = _quantile(sampled) ** 2 * per_try, _quantile(least) ** 2 * least.variance / (shrunk * (1 - shrunk))
    return Estimate(mean, *_wilson(mean, max(quantiles)))


def checkpoint_rate(solved: np.ndarray) -> Estimate:
    """Success rate of one checkpoint, or policy: Wilson's interval over the tasks of `solved` (M,) or (repeats, M).

    Repeats of a task are not new tasks: only their mean counts. Says nothing about other training seeds.
    """
    rates = np.atleast_2d(np.asarray(solved, float)).mean(0)
    mean, tasks = float(rates.mean()), rates.size
    chance = mean * (1 - mean)
    effect = rates.var() / chance if chance > 1e-12 else 1.0
    return Estimate(mean, *_wilson(mean, stats.norm.isf(LEVEL / 2) ** 2 * effect / tasks))


def mean_over_seeds(values: np.ndarray, least: float | None = None, most: float | None = None) -> Estimate:
    """The mean of `values` (S,) with Student's interval, cut off at the `least` and `most` that a value can be.

    The mean stays inside, whatever the limits.
    """
    x = np.asarray(values, float)
    mean, spread = float(np.mean(x)), _seed_spread(x)
    if spread is None:
        return Estimate(mean)
    low, high = _around(mean, [spread])
    low = low if least is None else max(low, min(least, mean))
    return Estimate(mean, low, high if most is None else min(high, max(most, mean)))


def success_difference(
    arm: np.ndarray, baseline: np.ndarray, margin: float | None = None, rng: np.random.Generator | None = None
) -> Difference:
    """Difference in success of `arm` and `baseline` (S, M), paired by seed and by task.

    Its variance is that of the two-way table of differences -1, 0, 1 (`_spreads`). Were the seeds' mean differences the
    only evidence, three seeds that agree by chance would claim certainty, and tasks that one arm always fails would go
    uncounted.
    """
    difference = np.asarray(arm, float) - np.asarray(baseline, float)
    spreads = []
    if len(difference) >= LEAST_SEEDS:
        spreads = _spreads(difference, 2.0)  # two arms may differ on a task either way
    low, high = _around(float(difference.mean()), spreads)
    found = _difference(difference.mean(1), spreads, margin, rng)
    return found._replace(low=low and max(low, -1.0), high=high and min(high, 1.0))


def mean_difference(
    arm: np.ndarray, baseline: np.ndarray, margin: float | None = None, rng: np.random.Generator | None = None
) -> Difference:
    """Difference of any measure's `arm` and `baseline` (S,), paired by seed: Student's paired interval and test."""
    difference = np.asarray(arm, float) - np.asarray(baseline, float)
    spread = _seed_spread(difference)
    return _difference(difference, [spread] if spread else [], margin, rng)


def floor_difference(arm: np.ndarray, floor: np.ndarray, rate: bool = True) -> Estimate:
    """An arm's outcomes (S, M) minus those of a policy without training seeds (R repeats, M), paired by task.

    The repeats of a task are averaged; that average's own noise is part of what tasks vary, and so of the interval. A
    task that is not among these may come out as far apart as success and failure, or, if the outcomes are no `rate`, as
    far as outcomes are from 0.
    """
    arm, floor = np.asarray(arm, float), np.asarray(floor, float)
    difference = arm - floor.mean(0)
    mean = float(difference.mean())
    if len(difference) < LEAST_SEEDS:
        return Estimate(mean)
    imagined = 2.0 if rate else float(np.mean(arm**2) + np.mean(floor**2))
    low, high = _around(mean, _spreads(difference, imagined))
    return Estimate(mean, max(low, -1.0), min(high, 1.0)) if rate else Estimate(mean, low, high)


def sign_flip(differences: np.ndarray, rng: np.random.Generator | None = None) -> float:
    """Two-sided p of `differences` (S,) under random signs: exact up to 16 seeds, beyond from `rng`'s draws."""
    x = np.asarray(differences, float)
    if len(x) <= EXACT_SEEDS:
        signs = 1 - 2 * (np.arange(2 ** len(x))[:, None] >> np.arange(len(x)) & 1)
        return float(np.mean(_as_far(signs @ x, x)))
    if rng is None:
        raise ValueError(f"{len(x)} seeds have too many sign flips to try them all: pass rng")
    signs = rng.choice((-1, 1), (DRAWS, len(x)))
    return float((np.sum(_as_far(signs @ x, x)) + 1) / (DRAWS + 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values of a family; None stays None and is not of the family."""
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted, largest = list(p_values), 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[i] = largest
    return adjusted


def verdict(
    difference: float, p: float | None, p_equivalent: float | None, higher_is_better: bool = True
) -> str | None:
    """better, worse, equivalent or undecided, by p-values that are adjusted for the family; None without any p.

    Equivalent comes first: a difference that is real, but surely within the margin, is one declared not to matter.
    """
    if p is None:
        return None
    if p_equivalent is not None and p_equivalent < LEVEL:
        return "equivalent"
    if p < LEVEL:
        return "better" if (difference > 0) == higher_is_better else "worse"
    return "undecided"


def _spreads(x: np.ndarray, imagined: float) -> list[Spread]:
    """How well the mean of `x` (S, M) is known, in two ways; the one that says less counts.

    Sampled: the seeds' component var(seed means) / S, plus what the tasks add, var(task means) / M less the residual's
    share (two-way random effects, E[V_seed] + E[V_task] - E[V_residual] = the variance of the mean), degrees of freedom
    after Satterthwaite. The seeds' component is never below the residual's, so that three seeds that happen to agree do
    not make it zero; the sum is then never below the variance of S M independent tries (the largest of the three mean
    squares is at least their mean).
    Least: M tasks cannot rule out tasks of a kind that is not among them, so the variance is never below that of
    `imagined` tasks more that come out otherwise in every seed.
    """
    seeds, tasks = x.shape
    by_seed, by_task, mean = x.mean(1), x.mean(0), x.mean()
    residual = x - by_seed[:, None] - by_task + mean
    rest = (residual**2).sum() / ((seeds - 1) * max(tasks - 1, 1) * x.size)
    seed = max(by_seed.var(ddof=1) / seeds, rest, 1e-30)  # not 0, which has no degrees of freedom
    task = max(by_task.var() / max(tasks - 1, 1) - rest, 0.0)
    df = (seed + task) ** 2 / (seed**2 / (seeds - 1) + task**2 / max(tasks - 1, 1))
    return [Spread(seed + task, df), Spread(imagined / (tasks + 2) ** 2, max(tasks - 1, 1))]


def _seed_spread(x: np.ndarray) -> Spread | None:
    if len(x) < LEAST_SEEDS or np.ptp(x) <= 1e-12 * np.abs(x).max():  # equal but for rounding
        return None
    return Spread(float(x.var(ddof=1) / len(x)), len(x) - 1)


def _difference(
    by_seed: np.ndarray, spreads: list[Spread], margin: float | None, rng: np.random.Generator | None
) -> Difference:
    mean = float(by_seed.mean())
    return Difference(
        mean,
        *_around(mean, spreads),
        p=2 * _beyond(abs(mean), spreads) if spreads else None,
        p_exact=sign_flip(by_seed, rng),
        p_least=2.0 ** (1 - len(by_seed)),
        p_equivalent=_beyond(margin - abs(mean), spreads) if spreads and margin else None,
    )


def _around(mean: float, spreads: list[Spread]) -> tuple[float | None, float | None]:
    if not spreads:
        return None, None
    half = max(_quantile(spread) * np.sqrt(spread.variance) for spread in spreads)
    return float(mean - half), float(mean + half)


def _beyond(distance: float, spreads: list[Spread]) -> float:
    """One-sided p of a mean so far away."""
    return float(max(stats.t.sf(distance / np.sqrt(spread.variance), spread.df) for spread in spreads))


def _quantile(spread: Spread) -> float:
    return float(stats.t.isf(LEVEL / 2, spread.df))


def _wilson(p: float, k: float) -> tuple[float, float]:
    """Wilson's interval with k = quantile^2 / n; it holds p whatever the rounding."""
    centre = (p + k / 2) / (1 + k)
    half = np.sqrt(k * p * (1 - p) + k * k / 4) / (1 + k)
    return float(np.clip(centre - half, 0, p)), float(np.clip(centre + half, p, 1))


def _as_far(sums: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Which sums lie as far from 0 as that of x, but for rounding."""
    return np.abs(sums) >= np.abs(x.sum()) - 1e-9 * np.abs(x).sum()
