"""A search: a space, what to look for in it, and how much to spend. `search(...)` stands where a sweep has its arms,
`search_each(...)` beside them: it tunes every one of them with the same budget.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from search_spaces import _space
from search_spaces._space import Choice, Space
from trainables import monitors, plugins
from trainables.settings import ConfigError

SAMPLERS = ("tpe", "random", "cmaes", "gp", "nsga2", "bisection")
PRUNERS = ("asha", "hyperband", "median")
# Numbers of a trial that are none of a measure: (unit, measured anew each time).
COSTS = {"parameters": ("of the model", False), "train_seconds": ("s", True), "memory": ("bytes", True)}
DEFAULT = "default"  # the arm that nothing was searched for
FOUND = "tuned"


@dataclass(frozen=True)
class Limit:
    """What a trial must keep to be chosen."""

    name: str
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Prune:
    """Stop a training early that a monitor shows behind others: first at the share `first` of its steps."""

    kind: str
    monitor: str
    first: float
    factor: int  # between one look and the next, and of trials that go on; of no meaning for the median

    def steps(self, total: int) -> tuple[int, ...]:
        """After which of `total` updates to look."""
        first = max(1, round(self.first * total))
        if self.kind == "median":
            return tuple(range(first, total, first))
        found, step = [], first
        while step < total:
            found.append(step)
            step *= self.factor
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Search:
    """See `search`; with `each` see `search_each`: the space is empty then, and all else is what the searches share."""

    space: Space
    objectives: tuple[str, ...]
    budget: int
    sampler: str
    seed: int
    prune: Prune | None
    limits: tuple[Limit, ...]
    tuning_seeds: tuple[int, ...]
    confirm: int
    warm_start: bool
    arm: str = DEFAULT  # that is tuned
    each: Mapping[str, Search] = field(default_factory=dict)  # by arm, where several are tuned
    split = "validation"

    def name(self, what: str) -> str:
        """What its "trial 3" or "tuned" is called in the study, where several arms may be tuned."""
        return what if self.arm == DEFAULT else f"{self.arm} {what}"

    def owns(self, name: str) -> bool:
        """Whether an arm of that name is one of its trials, or was found by it."""
        return name == self.name(FOUND) or bool(re.fullmatch(rf"{re.escape(self.name('trial'))} \d+", name))

    def looks(self, steps: int) -> tuple[int, ...]:
        """After which of `steps` updates a training is looked at: a collapse ends it in any case."""
        return self.prune.steps(steps) if self.prune else tuple(sorted({max(1, steps // 4), max(1, steps // 2)}))

    @property
    def watched(self) -> tuple[str, ...]:
        """What the looks are at."""
        return (self.prune.monitor,) if self.prune else ()


def search(
    space: Space,
    objectives: Sequence[str],
    budget: int,
    *,
    sampler: str = "tpe",
    seed: int = 0,
    prune: Prune | None = None,
    limits: Sequence[Limit] = (),
    tuning_seeds: Sequence[int] = (1000,),
    confirm: int = 1,
    warm_start: bool = False,
) -> Search:
    """Find arms: `budget` trials from `space`, judged on validation tasks by `objectives`.

    An objective is a number that measures report, or one of COSTS. A trial trains once for each of `tuning_seeds`,
    its values are means over them. The best `confirm` trials become arms beside the default. `warm_start`: trainings
    in the store that lie in the space inform the sampler; they are judged on validation tasks, too, and never chosen.
    Raises ConfigError for what cannot be.
    """
    _space.check(space)
    _require("sampler", sampler, SAMPLERS)
    _check_lists(objectives, limits, tuning_seeds)
    for name, value, least in (("budget", budget, 1), ("confirm", confirm, 1), ("seed", seed, 0)):
        if not _whole(value, least):
            raise ConfigError(f"{name}: {value!r} is no whole number of at least {least}")
    if not isinstance(prune, Prune | None):
        raise ConfigError(f"prune: {prune!r} is none of {', '.join(f'{kind}(monitor)' for kind in PRUNERS)}")
    if not isinstance(warm_start, bool):
        raise ConfigError(f"warm_start: {warm_start!r} is neither True nor False")
    if limits and sampler == "cmaes":
        raise ConfigError("limits: cmaes does not learn from them; use tpe, gp or nsga2")
    _check_sampler(space, objectives, sampler, prune)
    return Search(
        space=space,
        objectives=tuple(objectives),
        budget=budget,
        sampler=sampler,
        seed=seed,
        prune=prune,
        limits=tuple(limits),
        tuning_seeds=tuple(tuning_seeds),
        confirm=confirm,
        warm_start=warm_start,
    )


def search_each(spaces: Mapping[str, Space], objectives: Sequence[str], budget: int, **options: Any) -> Search:
    """Tune every arm of a sweep, each by a `search` of its own in the space that `spaces` has for it.

    Each has `budget` trials and the same options, which are those of `search`. ConfigError for what cannot be.
    """
    if not isinstance(spaces, Mapping) or not spaces:
        raise ConfigError(f"each: {spaces!r} has no space in it; give one by arm: {{arm: {{path: dimension}}}}")
    found = {
        arm: replace(_search_of(arm, space, objectives, budget, options), arm=arm) for arm, space in spaces.items()
    }
    return replace(next(iter(found.values())), space={}, arm=DEFAULT, each=found)


def _search_of(arm: str, space: Space, objectives: Sequence[str], budget: int, options: Mapping[str, Any]) -> Search:
    try:
        _space.check(space)
    except ConfigError as error:
        raise ConfigError(f"each: {arm}: {error}") from None
    return search(space, objectives, budget, **options)


def asha(monitor: str, *, first: float = 0.25, factor: int = 2) -> Prune:
    """Successive halving without waiting: at each look the best 1 / `factor` of those that came so far go on."""
    return _prune("asha", monitor, first, factor)


def hyperband(monitor: str, *, first: float = 0.25, factor: int = 2) -> Prune:
    """Several brackets of successive halving, which give late starters a chance."""
    return _prune("hyperband", monitor, first, factor)


def median(monitor: str, *, first: float = 0.125) -> Prune:
    """A training goes on while its best so far is no worse than the median of the others at that step."""
    return _prune("median", monitor, first, 2)


def at_most(name: str, most: float) -> Limit:
    """Only trials whose `name` is at most that may be chosen."""
    return Limit(name, most=_bound(name, most))


def at_least(name: str, least: float) -> Limit:
    """Only trials whose `name` is at least that may be chosen."""
    return Limit(name, least=_bound(name, least))


def direction(name: str) -> bool:
    """Whether more of an objective is better."""
    return name not in COSTS and _reported()[name].higher_is_better


def about(name: str) -> dict[str, Any]:
    """Name, unit, direction of an objective or limit, and whether it is measured anew each time."""
    if name in COSTS:
        unit, timed = COSTS[name]
        return {"name": name, "unit": unit, "higher_is_better": False, "timed": timed}
    value = _reported()[name]
    return {"name": name, "unit": value.unit, "higher_is_better": value.higher_is_better, "timed": value.timed}


def _bound(name: str, value: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f"limits: {name} cannot be held to {value!r}, it takes a number")
    return value


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _listed(values: object, kind: type) -> bool:
    """Whether it is a list of at least one thing of that kind, each once."""
    listed = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    return listed and all(isinstance(value, kind) for value in values) and len(set(values)) == len(values)


def _prune(kind: str, monitor: str, first: float, factor: int) -> Prune:
    if "loss" in str(monitor):
        raise ConfigError(
            f"prune: {monitor!r} does not predict planning, a collapsed latent has the smallest loss of all; "
            f"watch one of {', '.join(sorted(monitors.VALUES))}"
        )
    _require("prune", monitor, sorted(monitors.VALUES))
    if not isinstance(first, int | float) or not 0 < first < 1:
        raise ConfigError(f"prune: first={first!r} is no share between 0 and 1")
    if not _whole(factor, 2):
        raise ConfigError(f"prune: factor={factor!r} must be a whole number of at least 2")
    return Prune(kind, monitor, first, factor)


def _check_lists(objectives: Sequence[str], limits: Sequence[Limit], tuning_seeds: Sequence[int]) -> None:
    if not _listed(objectives, str):
        raise ConfigError(f"objectives: {objectives!r} must be a list of names, each once")
    if not isinstance(limits, Sequence) or not all(isinstance(limit, Limit) for limit in limits):
        raise ConfigError(f"limits: {limits!r} must be a list of at_most(name, number) and at_least(name, number)")
    for name in objectives:
        _known_number("objectives", name)
    for limit in limits:
        _known_number("limits", limit.name)
    if not _listed(tuning_seeds, int) or not all(_whole(each, 0) for each in tuning_seeds):
        raise ConfigError(f"tuning_seeds: {tuning_seeds!r} must be a list of whole numbers from 0 on, each once")


def _check_sampler(space: Space, objectives: Sequence[str], sampler: str, prune: Prune | None) -> None:
    """ConfigError for what a sampler or pruner cannot do."""
    found = list(_space.dimensions(space))
    if sampler == "cmaes" and (choices := [path for path, dimension, _ in found if isinstance(dimension, Choice)]):
        raise ConfigError(f"sampler: cmaes knows numbers only, {choices[0]} is a choice; use tpe")
    if sampler == "cmaes" and len(found) < 2:
        raise ConfigError("sampler: cmaes needs at least two dimensions; use tpe")
    if sampler in ("cmaes", "bisection") and len(objectives) > 1:
        raise ConfigError(f"sampler: {sampler} has one objective, not {len(objectives)}; use tpe, gp or nsga2")
    if sampler == "bisection" and (len(found) != 1 or isinstance(found[0][1], Choice)):
        raise ConfigError("sampler: bisection searches one range")
    if prune and len(objectives) > 1:
        raise ConfigError("prune: trainings are compared by one objective; leave prune out for several")


def _known_number(what: str, name: str) -> None:
    _require(what, name, sorted({*_reported(), *COSTS}))


def _reported() -> dict[str, Any]:
    """Every number that a measure reports."""
    loaded = [plugins.load("measures", name) for name in plugins.names("measures")]
    return {name: value for plugin in loaded for name, value in plugin.VALUES.items()}


def _require(what: str, name: object, valid: Sequence[str]) -> None:
    try:
        plugins.require(what, name, list(valid))
    except ValueError as error:
        raise ConfigError(str(error)) from None
