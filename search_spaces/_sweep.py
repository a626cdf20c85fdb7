"""A sweep: a question, the arms that answer it, and how the answer is judged. Built and checked on import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import envs
from search_spaces import _sets, _space
from search_spaces._search import (
    COSTS,
    DEFAULT,
    Limit,
    Search,
    asha,
    at_least,
    at_most,
    hyperband,
    median,
    search,
    search_each,
)
from search_spaces._space import choice, integers, log_uniform, uniform
from search_spaces._spaces import Arm, ablate, grid, levels, methods, zipped
from trainables import ids, plugins
from trainables.config import TrialConfig
from trainables.monitors import Watch
from trainables.paths import assign_all, base_config
from trainables.settings import ConfigError

__all__ = [
    "Arm",
    "Limit",
    "Search",
    "Sweep",
    "Trial",
    "ablate",
    "asha",
    "at_least",
    "at_most",
    "choice",
    "grid",
    "hyperband",
    "integers",
    "levels",
    "log_uniform",
    "median",
    "methods",
    "search",
    "search_each",
    "uniform",
    "zipped",
]

FIRST_SCALE = "local"


@dataclass(frozen=True)
class Trial:
    """One config with one seed, trained and evaluated."""

    arm: str
    seed: int
    config: TrialConfig
    changes: Mapping[str, Any] = field(default_factory=dict)  # what the arm changes of the sweep's base
    more_seeds: tuple[int, ...] = ()  # that a trial of a search trains with besides
    watch: Watch | None = None  # when and at what to look while it trains

    @property
    def place(self) -> tuple[str, int]:
        """Arm and seed, by which a study knows its trials."""
        return self.arm, self.seed


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A declared set of arms with seeds; a mistake in it is a ConfigError as soon as the object is built.

    With a `search` arms are found beside those declared, by default the base alone; `seeds` are those that confirm. A
    world that a larger scale names but this version lacks is an error only when that scale is asked for.
    """

    question: str
    base: str  # method that the arms change
    worlds: Mapping[str, str]  # scale -> the world it runs in unless told otherwise
    arms: Sequence[Arm] = (Arm(DEFAULT),)
    search: Search | None = None  # what finds more arms
    baseline: str = DEFAULT  # arm that the others are compared with
    seeds: Sequence[int] = range(3)
    primary: str = "success_rate"  # the number that the question is about
    margin: float = 0.05  # a difference of the primary measure below this does not matter
    published: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)  # (world, scale) -> by arm
    source: str | None = None  # of the published values
    truth: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # measured number -> by arm, where known
    measures: Sequence[str] = ()  # costly ones, beside the scale's own

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"arms: {doubled[0]!r} is there twice")
        _require("baseline", self.baseline, names)
        if self.search is None and names == [DEFAULT]:
            raise ConfigError("arms: give arms to compare, or a search that finds them")
        self.check_seeds(self.seeds)
        self._check_each(names)
        for what in ("published", "truth"):
            for arm in (arm for values in getattr(self, what).values() for arm in values):
                _require(what, arm, names)
        for scale, world in self.worlds.items():
            _require("worlds", scale, plugins.names("scales"))
            if scale == FIRST_SCALE or world in envs.names():
                self.trials(world, scale, {}, self.seeds[:1])
                self.check_space(world, scale, {})

    def check_seeds(self, seeds: Iterable[int]) -> None:
        """ConfigError for seeds that confirm what was chosen on them."""
        if self.search and (shared := sorted({*self.search.tuning_seeds} & {*seeds})):
            raise ConfigError(
                f"seeds: {shared[0]} is a tuning seed, too; what is chosen on a seed is not confirmed by it"
            )

    @cached_property
    def strata(self) -> tuple[Sweep, ...]:
        """A sweep of one arm and its search for every arm that is tuned: this very one unless there are several."""
        if self.search is None or not self.search.each:
            return (self,) if self.search else ()
        return tuple(self._stratum(arm) for arm in self.arms if arm.name in self.search.each)

    def world(self, scale: str) -> str:
        """The world of that scale; ConfigError where the sweep names none."""
        _require("scale", scale, plugins.names("scales"))
        if scale not in self.worlds:
            raise ConfigError(f"scale: the sweep names no world for {scale!r}, give one with --world")
        return self.worlds[scale]

    def trials(self, world: str, scale: str, sets: Mapping[str, Any], seeds: Iterable[int]) -> list[Trial]:
        """Every arm with every seed, all arms of the first seed first: the base, the arm's changes, then `sets`.

        Without a search, a set on what only some arms have, and have alike, is of those arms.
        Raises ConfigError for settings that cannot be, for a set on what the sweep varies, and for arms that agree.
        """
        base = self._base(world, scale)
        plain = {arm.name: assign_all(base, arm.changes) for arm in self.arms}
        # What a search tries is of one arm alone, which does not tell what others have.
        configs = _sets.apply(plain, sets, frozenset() if self.search else _sets.partly(plain, self.arms))
        self._check_distinct(configs)
        self._check_measured(configs[self.baseline])
        changes = {arm.name: arm.changes for arm in self.arms}
        return [
            Trial(name, seed, config.model_copy(update={"seed": seed}), changes[name])
            for seed in seeds
            for name, config in configs.items()
        ]

    def candidate(self, world: str, scale: str, sets: Mapping[str, Any], chosen: Mapping[str, Any]) -> TrialConfig:
        """The config of a trial of the search, with its first tuning seed; ConfigError for settings that cannot be."""
        arm = self.arms[0].changes
        changed = assign_all(assign_all(self._base(world, scale), {**arm, **chosen}), sets)
        return assign_all(changed, {"seed": self.search.tuning_seeds[0], "protocol.split": self.search.split})

    def check_space(self, world: str, scale: str, sets: Mapping[str, Any]) -> None:
        """ConfigError unless every end and choice of the space is a config, and what is looked for is measured."""
        for stratum in self.strata:
            stratum._check_space(world, scale, sets)

    def _check_space(self, world: str, scale: str, sets: Mapping[str, Any]) -> None:
        for given in sets:
            for path, _, _ in _space.dimensions(self.search.space):
                if _sets.related(given, path) or given in ("seed", "protocol.split"):
                    raise ConfigError(f"{given}: cannot be set, the search varies {path}, its seed and its tasks")
        for config in self._ends(world, scale, sets):
            if not self.search.looks(config.optim.steps):
                raise ConfigError(
                    f"prune: a training of {config.optim.steps} steps is over before its first look, "
                    f"after {self.search.prune.first:g} of them"
                )
        for name in (*self.search.objectives, *(limit.name for limit in self.search.limits)):
            if name not in COSTS:
                _require("objectives", name, _reported(config))

    def _ends(self, world: str, scale: str, sets: Mapping[str, Any]) -> list[TrialConfig]:
        """A config for every end and choice of the space.

        ConfigError for a set on what the search varies, and for a dimension that changes nothing.
        """
        corners = _space.corners(self.search.space)
        plain = {
            (path, number): self.candidate(world, scale, {}, chosen)
            for path, ends in corners.items()
            for number, chosen in enumerate(ends)
        }
        configs = _sets.apply(plain, sets)
        for path, ends in corners.items():
            if len({identity(configs[path, number]) for number in range(len(ends))}) == 1:
                raise ConfigError(f"space: {path} changes nothing, all of its values resolve to the same trial")
        return list(configs.values())

    def confirming(self, found: Mapping[str, Mapping[str, Any]]) -> Sweep:
        """The sweep whose arms are those declared and what was found: changes of the base by name."""
        return replace(self, arms=(*self.arms, *(Arm(name, changes) for name, changes in found.items())))

    def _stratum(self, arm: Arm) -> Sweep:
        try:
            return replace(
                self,
                arms=(arm,),
                baseline=arm.name,
                search=self.search.each[arm.name],
                published={},
                source=None,
                truth={},
            )
        except ConfigError as error:
            raise ConfigError(f"each: {arm.name}: {error}") from None

    def _check_each(self, names: Sequence[str]) -> None:
        """ConfigError unless every declared arm has a space, and every space an arm."""
        each = self.search.each if self.search else {}
        for arm in each:
            _require("each", arm, names)
        spaceless = [name for name in names if name not in each and not any(one.owns(name) for one in each.values())]
        if each and spaceless:
            raise ConfigError(f"each: arm {spaceless[0]!r} has no space to be tuned in, all others have")

    def _base(self, world: str, scale: str) -> TrialConfig:
        return assign_all(base_config(self.base, world, scale), {f"measures.{name}": {} for name in self.measures})

    def _check_distinct(self, configs: Mapping[str, TrialConfig]) -> None:
        """No arm is another one under a second name; ids tell, for they leave labels out."""
        seen: dict[tuple, str] = {}
        for name in sorted(configs, key=lambda name: name != self.baseline):
            twin = seen.setdefault(identity(configs[name]), name)
            if twin != name:
                role = "the baseline" if twin == self.baseline else "arm"
                raise ConfigError(f"arms: {name!r} changes nothing: it resolves to the same config as {role} {twin!r}")

    def _check_measured(self, config: TrialConfig) -> None:
        for what, names in {"primary": [self.primary], "truth": self.truth}.items():
            for name in names:
                _require(what, name, _reported(config))


def _reported(config: TrialConfig) -> list[str]:
    """Every number that the config's measures report."""
    return [value for name in config.measures for value in plugins.load("measures", name).VALUES]


def identity(config: TrialConfig) -> tuple[str, ...]:
    """What makes two configs one trial: the id of the training and of every measure."""
    return ids.train_key(config), *sorted(ids.measure_key(config, name) for name in config.measures)


def _require(what: str, name: object, valid: Sequence[str]) -> None:
    try:
        plugins.require(what, name, list(valid))
    except ValueError as error:
        raise ConfigError(str(error)) from None
