"""A study is a sweep in one world at one scale under some settings; its plan is what is done and what that leaves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import envs
import search_spaces
from search_spaces._sweep import FIRST_SCALE, Sweep, Trial
from trainables import ids, pipeline
from trainables.config import TrialConfig
from trainables.paths import flatten
from trainables.settings import ConfigError
from trainables.store import Store

NOT_RUN = "not run"  # for lack of something that this machine does not have
KNOWN = "known "  # what the arm of a recorded training is called that informs a search, before its id
# Of one trial where nothing like it was ever run: local on two CPU cores, the others on one GPU.
GUESSED_HOURS = {"local": 0.05, "gpu": 0.2, "paper": 5.0}


@dataclass(frozen=True, kw_only=True)
class Study:
    """(sweep, world, scale, sets): one parent run in MLflow and one report folder; more seeds extend it."""

    name: str
    sweep: Sweep
    world: str
    scale: str
    sets: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...]
    lacks: Mapping[str, str] = field(default_factory=dict)  # arm -> what this machine lacks to run it

    @cached_property
    def trials(self) -> list[Trial]:
        """Every arm with every seed; ConfigError for settings that cannot be."""
        return self.sweep.trials(self.world, self.scale, self.sets, self.seeds)

    @property
    def key(self) -> str:
        """The study's name: the sweep's alone where nothing was asked for but the sweep."""
        if not self.sets and self.scale == FIRST_SCALE and self.world == self.sweep.worlds[FIRST_SCALE]:
            return self.name
        parts = [self.name, self.world, self.scale, *([ids.digest(dict(self.sets))] if self.sets else [])]
        return "--".join(parts)


def make_study(
    name: str, *, world: str | None = None, scale: str = FIRST_SCALE, sets: Mapping[str, Any], seeds: int | None = None
) -> Study:
    """The study of a command line, its trials checked; ConfigError for anything that cannot be.

    What a machine lacks is asked for here, once: what runs, the record and the report go by one answer.
    """
    sweep = search_spaces.load(name)
    found = Study(
        name=name,
        sweep=sweep,
        world=world or _own_world(name, sweep, scale),
        scale=scale,
        sets=sets,
        seeds=tuple(sweep.seeds if seeds is None else range(seeds)),
    )
    sweep.check_seeds(found.seeds)
    _ = found.trials
    sweep.check_space(found.world, scale, sets)
    return replace(found, lacks=_lacks(found))


def _lacks(study: Study) -> dict[str, str]:
    """What this machine lacks to run the arms, by arm."""
    configs = {trial.arm: trial.config for trial in study.trials}
    return {arm: why for arm, config in configs.items() if (why := pipeline.lacking(config))}


def check_runnable(study: Study, store: Store | None) -> None:
    """ConfigError where this machine can run no trial of the study, see `refusal`."""
    if why := refusal(study, store):
        raise ConfigError(why)


def refusal(study: Study, store: Store | None) -> str | None:
    """Why this machine can run no trial of the study; None if it can run some, or some have their result already.

    Where every arm is tuned, results of the arms as declared do not help: not one of the searches can go on.
    """
    held = () if tunes_each(study) else study.trials
    if {*study.lacks} < {trial.arm for trial in study.trials} or any(
        state(study, one, store) != NOT_RUN for one in held
    ):
        return None
    return f"this machine can run no trial of {study.key}: {'; '.join(sorted({*study.lacks.values()}))}"


def tunes_each(study: Study) -> bool:
    """Whether every arm has a search of its own."""
    return bool(study.sweep.search and study.sweep.search.each)


@dataclass(frozen=True)
class Planned:
    """A trial, its state ("done", "failed", "to run" or "not run"), and the hours it may take from scratch.

    "not run": it has no result, and this machine lacks something to run it.
    """

    trial: Trial
    state: str
    hours: float
    known: bool = True  # a search has still to find out what the others are


@dataclass(frozen=True)
class Plan:
    """Every trial of a study; `evidence` is the number of past trials that the hours come from."""

    planned: list[Planned]
    evidence: int
    lacks: Mapping[str, str] = field(default_factory=dict)  # by arm that is not run

    @property
    def open(self) -> list[Planned]:
        """What is to run, the failed included."""
        return [planned for planned in self.planned if planned.state not in ("done", NOT_RUN)]

    @property
    def hours(self) -> float:
        """Of all that is to run, one after the other."""
        return sum(planned.hours for planned in self.open)

    def count(self, state: str) -> int:
        """Trials in that state."""
        return sum(planned.state == state for planned in self.planned)


def plan(study: Study, store: Store | None) -> Plan:
    """What of the study the store holds, and how long the rest may take; no store holds nothing."""
    states = [state(study, trial, store) for trial in study.trials]
    past = [] if store is None or not {*states} - {"done", NOT_RUN} else _past(store, study.world, study.scale)
    rows = list(zip(study.trials, states, strict=True))
    lacks = {trial.arm: study.lacks[trial.arm] for trial, found in rows if found == NOT_RUN}
    return Plan([Planned(trial, found, _hours(trial.config, past)) for trial, found in rows], len(past), lacks)


def state(study: Study, trial: Trial, store: Store | None) -> str:
    """The state of one trial, see `Planned`."""
    found = pipeline.state(trial.config, store) if store else "to run"
    return NOT_RUN if found != "done" and trial.arm in study.lacks else found


def summary(plan: Plan) -> str:
    """The plan in one line, and one more for each arm that is not run."""
    states = [(plan.count(state), state) for state in ("done", "failed", "to run", NOT_RUN)]
    line = f"{len(plan.planned)} trials: {', '.join(f'{count} {state}' for count, state in states if count)}"
    if plan.open:
        source = f"from {plan.evidence} past trials" if plan.evidence else "a guess, none like them was run yet"
        line += f"; about {plan.hours:.2f} trial-hours of work ({source})"
    return "\n".join([line, *(f"{NOT_RUN}: {arm}: {why}" for arm, why in plan.lacks.items())])


def trial_id(trial: Trial) -> str:
    """The id of the trial's training, by which the store knows it."""
    return ids.train_key(trial.config).removeprefix("train/")


def changes(trial: Trial) -> str:
    """What the trial's arm changes, in one line."""
    return ", ".join(f"{path}={value}" for path, value in trial.changes.items()) or "nothing"


def settings_of(key: str, store: Store) -> dict[str, Any] | None:
    """The flat config of a finished training; None for one that diverged, or that this version cannot read."""
    try:
        result = store.document(key, "result.json")
        sound = result is not None and result["status"] == "ok"
        return flatten(TrialConfig.model_validate(store.document(key, "config.json"))) if sound else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _own_world(name: str, sweep: Sweep, scale: str) -> str:
    """The world that the sweep names for that scale; ConfigError while there is no such world."""
    world = sweep.world(scale)
    if world not in envs.names():
        raise ConfigError(
            f"world: {world!r}, which {name} uses at scale {scale}, is not there; "
            f"give --world, one of {', '.join(envs.names())}"
        )
    return world


def _hours(config: TrialConfig, past: list[tuple[dict[str, Any], float]]) -> float:
    """The mean over the past trials that share the most settings with this one."""
    if not past:
        return GUESSED_HOURS.get(config.scale, 1.0)
    mine = flatten(config).items()
    shared = [sum(1 for path, value in mine if theirs.get(path) == value and path != "seed") for theirs, _ in past]
    nearest = [seconds for (_, seconds), count in zip(past, shared, strict=True) if count == max(shared)]
    return sum(nearest) / len(nearest) / 3600


def _past(store: Store, world: str, scale: str) -> list[tuple[dict[str, Any], float]]:
    """(settings, seconds) of finished trainings and their measures, whichever study they were for."""
    keys = store.keys("train/")
    trainings = [key for key in keys if key.count("/") == 1]
    measures = [key for key in keys if key.count("/") == 3]
    configs, results = (store.documents((key, name) for key in trainings) for name in ("config.json", "result.json"))
    measured: dict[str, list[Any]] = defaultdict(list)
    for key, values in zip(measures, store.documents((key, "values.json") for key in measures), strict=True):
        measured["/".join(key.split("/")[:2])].append(values)
    parts = zip(configs, results, (measured[key] for key in trainings), strict=True)
    return [
        (settings, seconds)
        for settings, seconds in filter(None, (_spent(*part) for part in parts))
        if (settings["data.world"], settings["scale"]) == (world, scale)
    ]


def _spent(config: Any, result: Any, measured: list[Any]) -> tuple[dict[str, Any], float] | None:
    """The flat config of a training and its seconds, those of its measures included.

    None for what cannot be read, damaged or of an older version: it informs an estimate, and whoever needs it makes it
    again.
    """
    try:
        seconds = result["seconds"] + sum(values["seconds"] for values in measured)
        return flatten(TrialConfig.model_validate(config)), seconds
    except (ValueError, KeyError, TypeError):
        return None
