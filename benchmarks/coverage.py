"""Do the 95 % intervals hold what they say? Simulated coverage of `analysis.statistics`, as a table.

`python benchmarks/coverage.py [--trials N] [--seed N]`: success rates p with a Beta spread between seeds, and with
tasks that differ in difficulty (the same tasks in every seed; `task` is the correlation of two seeds' outcomes on one
of them), which an interval over seeds alone does not see. Last: paired differences from a baseline of 0.9.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
from scipy import stats

from analysis import statistics

RATES, SEED_SPREADS, TASK_SPREADS = (0.7, 0.9, 0.97), (0.0, 0.02, 0.05, 0.1), (0.0, 0.3, 0.8)
SEEDS, TASKS = (3, 5, 10), (50, 100)


def outcomes(p: float, between: float, difficulty: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Solved (S, M) of a method with mean rate p, seed spread `between`, and task rates `difficulty` (M,) of mean p."""
    scale = p * (1 - p) / between**2 - 1 if between else 0
    rates = rng.beta(p * scale, (1 - p) * scale, (seeds, 1)) if between else np.full((seeds, 1), p)
    lowered, raised = difficulty * rates / p, 1 - (1 - difficulty) * (1 - rates) / (1 - p)
    return rng.random((seeds, difficulty.size)) < np.where(rates < p, lowered, raised)


def task_rates(p: float, correlation: float, quantiles: np.ndarray) -> np.ndarray:
    """Beta-distributed success rates of tasks (M,) with mean p, so that quantile 0 is the hardest task."""
    if correlation == 0:
        return np.full(quantiles.shape, p)
    scale = 1 / correlation - 1
    return stats.beta.ppf(quantiles, p * scale, (1 - p) * scale)


def cell(
    p: float, between: float, correlation: float, seeds: int, tasks: int, trials: int, rng: np.random.Generator
) -> np.ndarray:
    """Coverage and mean width of the success rate, then of its difference from a baseline of 0.9."""
    rows = []
    for _ in range(trials):
        hard = rng.random(tasks)
        arm = outcomes(p, between, task_rates(p, correlation, hard), seeds, rng)
        other = outcomes(0.9, between, task_rates(0.9, correlation, hard), seeds, rng)
        rate, difference = statistics.success_rate(arm), statistics.success_difference(arm, other)
        rows.append((*_held(rate, p), *_held(difference, p - 0.9)))
    return np.mean(rows, 0)


def _held(estimate: statistics.Estimate | statistics.Difference, truth: float) -> tuple[bool, float]:
    return estimate.low <= truth + 1e-12 and truth - 1e-12 <= estimate.high, estimate.high - estimate.low


def main() -> None:
    """Print one row per cell."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    rng = np.random.default_rng(given.seed)
    print(f"{'p':>5} {'sd':>5} {'task':>5} {'S':>3} {'M':>4}   rate: held width   difference: held width")
    for correlation, p, between, seeds, tasks in itertools.product(TASK_SPREADS, RATES, SEED_SPREADS, SEEDS, TASKS):
        held, width, held_d, width_d = cell(p, between, correlation, seeds, tasks, given.trials, rng)
        print(
            f"{p:>5} {between:>5} {correlation:>5} {seeds:>3} {tasks:>4}"
            f" {held:>12.1%} {width:>5.3f} {held_d:>17.1%} {width_d:>5.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
