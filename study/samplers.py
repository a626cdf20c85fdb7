"""What suggests the next trial of a search: Optuna's samplers, made anew for every trial, and bisection.

A sampler of trial n is seeded by (the search's seed, n). So a suggestion depends on the trials so far and on nothing
that a killed driver takes along.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from search_spaces._search import Search
from search_spaces._space import Choice, Range, dimensions, grid_points
from trainables import streams

STARTUP = 10  # random trials before a model is fitted
POINTS = 33  # of the grid that bisection searches: 2^5 + 1
POPULATION = 12  # of NSGA-II, so that a small budget has several generations

# Samplers that keep what they learnt with the trials they suggested, so a replay must ask them again.
REMEMBERING = {"cmaes", "nsga2"}


def sampler(search: Search, number: int) -> BaseSampler:
    """The sampler of trial `number`."""
    seed = int(streams.rng(search.seed, "search", number).integers(2**31))
    conditional = any(when for _, _, when in dimensions(search.space))
    make = {
        "tpe": lambda: TPESampler(
            seed=seed, n_startup_trials=STARTUP, multivariate=True, group=conditional, constant_liar=True
        ),
        "random": lambda: RandomSampler(seed=seed),
        "cmaes": lambda: CmaEsSampler(seed=seed, n_startup_trials=STARTUP // 2, warn_independent_sampling=False),
        "gp": lambda: GPSampler(seed=seed, n_startup_trials=STARTUP, deterministic_objective=False),
        "nsga2": lambda: NSGAIISampler(seed=seed, population_size=POPULATION),
        "bisection": lambda: Bisection(search),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of experimental and renamed options; the pinned version has these
        return make[search.sampler]()


class Bisection(BaseSampler):
    """Halve a range by the better of two neighbours in its middle: O(log n) trials for n grid points.

    The O(log n) is arXiv:2603.19312's claim for its one hyperparameter. Right where the objective has one peak and the
    neighbours' difference is more than noise.
    """

    def __init__(self, search: Search):
        ((self._path, dimension, _),) = dimensions(search.space)
        self._points = grid_points(dimension, POINTS)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict:
        """Optuna's: there is nothing to sample together."""
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict) -> dict[str, Any]:
        """Optuna's: see above."""
        return {}

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: Any) -> float:
        """The next grid point to try, or the best one if there is no more to learn."""
        wanted, best = self.wanted(study)
        return self._points[best if wanted is None else wanted]

    def wanted(self, study: optuna.Study) -> tuple[int | None, int]:
        """(index of the grid point to try next, None when the range has shrunk to one; where its middle is)."""
        known, under_way = self._known(study)
        low, high = 0, len(self._points) - 1
        while low < high:
            middle = (low + high) // 2
            if needed := [index for index in (middle, middle + 1) if index not in known]:
                return next((index for index in needed if index not in under_way), None), needed[0]
            low, high = (low, middle) if known[middle] >= known[middle + 1] else (middle + 1, high)
        return None, low

    def _known(self, study: optuna.Study) -> tuple[dict[int, float], set[int]]:
        """Value by grid point, better is more; and the points that are being tried."""
        better = 1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1.0
        known, under_way = {}, set()
        for trial in study.trials:
            index = self._index(trial.params.get(self._path))
            if index is not None and trial.state == TrialState.RUNNING:
                under_way.add(index)
            elif index is not None:
                known[index] = better * trial.value if trial.state == TrialState.COMPLETE else -math.inf
        return known, under_way

    def _index(self, value: float | None) -> int | None:
        """The grid point at `value`; None for a value beside the grid, as the default's may be."""
        near = [i for i, point in enumerate(self._points) if value is not None and math.isclose(point, value)]
        return near[0] if near else None


def pruner(search: Search, steps: int) -> optuna.pruners.BasePruner:
    """What decides at a look whether a training of `steps` updates goes on."""
    prune = search.prune
    if prune is None:
        return optuna.pruners.NopPruner()
    first = prune.steps(steps)[0]
    if prune.kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=STARTUP // 2, n_warmup_steps=0)
    if prune.kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=first, max_resource=steps, reduction_factor=prune.factor)
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=prune.factor)


def draw(trial: optuna.Trial, space: Mapping[str, Any]) -> dict[str, Any]:
    """The trial's value for every dimension that is there."""
    found: dict[str, Any] = {}
    for path, dimension in space.items():
        found[path] = _draw(trial, path, dimension)
        if isinstance(dimension, Choice):
            found |= draw(trial, dimension.then.get(found[path], {}))
    return found


def _draw(trial: optuna.Trial, path: str, dimension: Range | Choice) -> Any:
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(path, dimension.values)
    if dimension.whole:
        return trial.suggest_int(path, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(path, dimension.low, dimension.high, log=dimension.log)
