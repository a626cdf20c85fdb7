"""From a point of a search to a trial and back: its config, its record, its objectives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search_spaces import _space
from search_spaces._sweep import Trial, identity
from study import plan as plans
from study.explore import Point
from study.plan import Study
from trainables import ids, pipeline
from trainables.config import TrialConfig
from trainables.monitors import Watch
from trainables.paths import flatten
from trainables.settings import ConfigError
from trainables.store import Store

Known = tuple[str, dict[str, Any], TrialConfig]  # id of a recorded training, where it lies in the space, its config


class Candidates:
    """The trials of a study's search: tuning seeds, validation tasks."""

    def __init__(self, study: Study, store: Store | None):
        self.study, self.search, self._store = study, study.sweep.search, store
        self.base = self.config({})
        self.default = _read(self.search.space, flatten(self.base)) or {}  # nothing if it lies outside of the space

    @property
    def key(self) -> str:
        """Name of the search's journal: of all that a suggestion or its value depends on, but for the budget."""
        search = self.search
        prune = search.prune and vars(search.prune)
        parts = [search.objectives, search.sampler, search.seed, prune, [vars(limit) for limit in search.limits]]
        parts += [search.tuning_seeds, search.warm_start, identity(self.base), list(self.default.items())]
        # What a choice brings along, its plug-in's file says.
        corners = [corner for each in _space.corners(search.space).values() for corner in each]
        parts += [identity(self.config(corner)) for corner in corners]
        return f"searches/{self.study.key}/{ids.digest([_space.describe(search.space), *parts])}"

    def config(self, params: Mapping[str, Any]) -> TrialConfig:
        """The config with its first tuning seed; ConfigError for settings that do not go together."""
        study = self.study
        return study.sweep.candidate(study.world, study.scale, study.sets, params)

    def possible(self, point: Point) -> bool:
        """Whether its settings go together."""
        try:
            return bool(self.config(point.params))
        except ConfigError:
            return False

    def trial(self, point: Point) -> Trial:
        """What is to run for a point."""
        config = self.config(point.params)
        seed, *more = self.search.tuning_seeds
        watch = Watch(self.search.looks(config.optim.steps), self.search.watched)
        return Trial(self.name(point), seed, config, point.params, tuple(more), watch)

    def name(self, point: Point) -> str:
        """What a point's trial is called."""
        return self.search.name(f"trial {point.number}")

    def records(self, trial: Trial) -> list[dict[str, Any]]:
        """A record part for each of its seeds."""
        seeds = (trial.config.seed, *trial.more_seeds)
        return [pipeline.record_part(trial.config.model_copy(update={"seed": s}), self._store) for s in seeds]

    def outcome(self, trial: Trial) -> tuple[str, dict[str, float], dict[str, float], int]:
        """(state, objectives, limited numbers, training steps) of a trial that came to its end, over its seeds."""
        records = self.records(trial)
        statuses = {record["status"] for record in records}
        state = next((state for state in ("diverged", "collapsed") if state in statuses), "complete")
        steps = sum(record.get("steps") or 0 for record in records)
        limited = [limit.name for limit in self.search.limits]
        return state, means(records, self.search.objectives), means(records, limited), steps

    def seconds(self, trial: Trial) -> float:
        """Of training and judging a trial that came to its end, over its seeds and however often it was started."""
        return sum(sum(record["seconds"].values()) for record in self.records(trial))

    def steps(self, point: Point) -> int:
        """Training steps of a point that is trained to the end, over its seeds."""
        steps = self.config(point.params).optim.steps if self.possible(point) else 0
        return steps * len(self.search.tuning_seeds)

    def known(self) -> list[Known]:
        """Recorded trainings in the space that are otherwise like the default, whatever their seed.

        Not those whose weights were removed before they were judged on these tasks: that would cost a training.
        """
        return [known for known in map(self._known, self._store.keys("train/")) if known]

    def confirming(self, names: Iterable[str]) -> int:
        """How many of these recorded trainings have a seed with which this study confirms, too."""
        found = [plans.settings_of(f"train/{name}", self._store) for name in names]
        return sum(settings is not None and settings["seed"] in self.study.seeds for settings in found)

    def _known(self, key: str) -> Known | None:
        settings = plans.settings_of(key, self._store) if key.count("/") == 1 else None
        params = _read(self.search.space, settings) if settings else None
        if not params:
            return None
        try:
            config = self.config(params).model_copy(update={"seed": settings["seed"]})
        except ConfigError:
            return None
        if ids.train_key(config) != key:
            return None
        judged = pipeline.state(config, self._store) == "done" or self._store.get(key, whole=True)
        return (key.removeprefix("train/"), params, config) if judged else None


def means(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Means over records of objectives or limited numbers; one that some record lacks is left out."""
    columns = {name: [_number(record, name) for record in records] for name in names}
    return {name: sum(column) / len(column) for name, column in columns.items() if None not in column}


def _number(record: Mapping[str, Any], name: str) -> float | None:
    costs = {
        "parameters": lambda: record.get("parameters"),
        "train_seconds": lambda: record["seconds"].get("train"),
        "memory": lambda: (record.get("memory") or {}).get("peak"),
    }
    return costs[name]() if name in costs else record["measures"].get(name)


def _read(space: _space.Space, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a config has for every dimension that is there; None where it lies outside of the space."""
    found: dict[str, Any] = {}
    while missing := [path for path in _space.present(space, found) if path not in found]:
        path = missing[0]
        value = settings.get(path, settings.get(f"{path}.name"))
        if value not in _space.present(space, found)[path]:
            return None
        found[path] = value
    return found
