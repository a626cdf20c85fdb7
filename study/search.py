"""A search as a source of trials: candidates on validation tasks first, then what confirms them on test tasks.

Candidates train with tuning seeds. What confirms them is an ordinary sweep of two or more arms with other seeds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from search_spaces import _space
from search_spaces._search import FOUND, about, direction
from search_spaces._sweep import Trial, identity
from study import plan as plans
from study.explore import Exploration, Point, front
from study.plan import Plan, Planned, Study
from study.sources import TRIES, Arms
from trainables import ids, pipeline
from trainables.config import TrialConfig
from trainables.monitors import Watch
from trainables.paths import flatten
from trainables.settings import ConfigError
from trainables.store import Store


class StoreJournal:
    """A journal in the store; without a store it is empty and kept nowhere."""

    def __init__(self, store: Store | None, name: str):
        self._store, self._name = store, name

    def lines(self) -> list[dict[str, Any]]:
        """See `explore.Journal`."""
        return self._store.lines(self._name) if self._store else []

    def append(self, line: dict[str, Any]) -> None:
        """See `explore.Journal`."""
        self._store.append(self._name, line)


class Searching:
    """Source of a study whose sweep has a search: `budget` candidates, then what confirms them."""

    def __init__(self, study: Study, store: Store | None, budget: int | None = None):
        self.study, self.search = study, study.sweep.search
        self.budget = budget or self.search.budget
        self._store = store
        self._base = self._candidate({})
        self.configs = [self._base]
        self.exploration = Exploration(
            self.search,
            StoreJournal(store, f"searches/{study.key}/{self._digest()}"),
            steps=self._base.optim.steps,
            default=self._default(),
        )
        self._waiting = deque(self.exploration.open)
        self._running: dict[tuple[str, int], tuple[Point, float]] = {}
        self._warm: deque[tuple[str, dict[str, Any], TrialConfig]] | None = None
        self._confirming: Arms | None = None

    # --- Source

    def next(self) -> Trial | None:
        """The next candidate; when all have their outcome, the trials that confirm."""
        if trial := self._next_known() or self._next_candidate():
            return trial
        if not self._searched:
            return None
        if self._confirming is None:
            self._confirming = Arms([each.trial for each in self._confirmation().open], self._store)
        return self._confirming.next()

    @property
    def finished(self) -> bool:
        """See `sources.Source`."""
        return self._searched and self._confirming is not None and self._confirming.finished

    def judge(self, trial: Trial, report: dict[str, Any]) -> bool:
        """Note what the looks at a candidate's training show; whether it is to stop."""
        if trial.watch is None:
            return False
        point, _ = self._running[trial.place]
        stops = [self.exploration.report(point.number, look["step"], look["values"]) for look in report["looks"]]
        return any(stops)

    def ended(self, trial: Trial) -> dict[str, Any]:
        """See `sources.Source`."""
        if trial.place not in self._running:
            return self._confirming.ended(trial)
        point, began = self._running.pop(trial.place)
        if point.number < 0:
            self.exploration.know(point.note, point.params, self._values(self._records(trial), self.search.objectives))
            return self._records(trial)[0]
        self._tell(point, trial, time.monotonic() - began)
        return self.record(point)

    def crashed(self, trial: Trial, error: str, died: bool) -> dict[str, Any] | None:
        """A candidate is tried a few times, for its outcome decides what is tried next; then it has failed."""
        if trial.place not in self._running:
            return self._confirming.crashed(trial, error, died)
        point, began = self._running.pop(trial.place)
        if point.number >= 0 and self.exploration.crashed(point.number, error) < TRIES:
            self._waiting.appendleft(point)
            return None
        if point.number >= 0:
            spent = {"trial": _train_id(trial.config), "step": _last(point), "seconds": time.monotonic() - began}
            self.exploration.tell(point.number, "failed", {}, {}, error=error, **spent)
        pipeline.fail(trial.config, self._store, error)
        return self.record(point) if point.number >= 0 else self._records(trial)[0]

    # --- what there is

    @property
    def _searched(self) -> bool:
        """Whether every candidate has its outcome."""
        under_way = self._running or self._waiting or self._warm
        return not under_way and not self.exploration.open and not self.exploration.more(self.budget)

    @property
    def chosen(self) -> dict[str, Point]:
        """What is confirmed beside the default, by arm: the best, or points spread over the Pareto front."""
        points = [point for point in self.exploration.points if self.exploration.feasible(point)]
        ranked = self.ranked(points)
        mine = {identity(self._candidate({}))}
        others = [point for point in ranked if identity(self._candidate(point.params)) not in mine]
        if len(self.search.objectives) == 1 and ranked and (not others or others[0] is not ranked[0]):
            others = others[: self.search.confirm - 1]  # the default itself is the best
        if len(others) > self.search.confirm > 1 and len(self.search.objectives) > 1:
            last = len(others) - 1
            others = [others[round(i * last / (self.search.confirm - 1))] for i in range(self.search.confirm)]
        found = others[: self.search.confirm]
        single = self.search.confirm == 1
        return {FOUND if single else _arm(point): point for point in found}

    def ranked(self, points: Sequence[Point]) -> list[Point]:
        """Best first, earlier ones before later ones that are as good; of several objectives the Pareto front."""
        if len(self.search.objectives) > 1:
            return front(points, self.search.objectives)
        (name,) = self.search.objectives
        sign = -1 if direction(name) else 1
        return sorted(points, key=lambda point: (sign * point.values[name], point.number))

    @property
    def confirmed(self) -> Study:
        """The study whose arms are the default and, once the search is over, what it chose."""
        found = {name: point.params for name, point in self.chosen.items()} if self._searched else {}
        return replace(self.study, sweep=self.study.sweep.confirming(found))

    def plan(self) -> Plan:
        """Candidates, then what confirms them; what is not known yet is taken to last as long as the default."""
        confirming = self._confirmation()
        hours = confirming.planned[0].hours
        points = [self._planned(point, hours) for point in self.exploration.points]
        if self._searched:
            return Plan([*points, *confirming.planned], confirming.evidence)
        coming = [(f"trial {i}", self.search.tuning_seeds[0]) for i in range(len(points), self.budget)]
        found = [FOUND] if self.search.confirm == 1 else [f"found {i + 1}" for i in range(self.search.confirm)]
        tuned = [(arm, seed) for seed in self.study.seeds for arm in found]
        unknown = [[Planned(Trial(*place, self._base), "to run", hours, False) for place in p] for p in (coming, tuned)]
        return Plan([*points, *unknown[0], *confirming.planned, *unknown[1]], confirming.evidence)

    def record(self, point: Point) -> dict[str, Any]:
        """A candidate's record: that of its first training, what it was told to be, and its part in the search."""
        trial = self._trial(point)
        record = {"arm": trial.arm, "seed": trial.seed, **pipeline.record_part(trial.config, self._store)}
        if point.state != "complete" or record["status"] in ("missing", "crashed"):
            record["status"] = {"complete": "ok", "failed": "crashed"}.get(point.state, point.state)
        record["error"] = point.about.get("error")
        looks = [{"step": step, **values} for step, values in sorted(point.looks.items())]
        part = {"number": point.number, "state": point.state, "note": point.note, "params": point.params}
        return {**record, "search": {**part, **self._outcome(point), "looks": looks}}

    def records(self) -> list[tuple[Trial, dict[str, Any]]]:
        """Every candidate that has its outcome, with its record."""
        told = [point for point in self.exploration.points if point.state != "open" and self._possible(point)]
        return [(self._trial(point), self.record(point)) for point in told]

    def summary(self) -> dict[str, Any]:
        """What `analysis` shows of the search."""
        search, points = self.search, self.exploration.points
        complete = [point for point in points if self.exploration.feasible(point)]
        rows = [self._row(point) for point in points]
        ranked = self.ranked(complete)
        return {
            "sampler": search.sampler,
            "seed": search.seed,
            "budget": self.budget,
            "split": search.split,
            "tuning_seeds": list(search.tuning_seeds),
            "prune": search.prune
            and {"kind": search.prune.kind, "monitor": search.prune.monitor, "factor": search.prune.factor},
            "objectives": [about(name) for name in search.objectives],
            "constraints": [{"name": each.name, "least": each.least, "most": each.most} for each in search.limits],
            "space": _space.describe(search.space),
            "trials": rows,
            "default": self._default(),
            "importance": importance(self.exploration),
            "front": [point.number for point in front(complete, search.objectives)],
            "best": ranked[0].number if ranked and len(search.objectives) == 1 else None,
            "confirmed": {name: point.number for name, point in self.chosen.items()} if self._searched else {},
            "known": len(self.exploration.known),
            "spent": {
                "trials": len(points),
                "steps": sum(row["step"] or 0 for row in rows),
                "full_steps": sum(row["steps"] or 0 for row in rows),
                "hours": sum(row["seconds"] or 0.0 for row in rows) / 3600,
            },
        }

    # --- parts

    def _candidate(self, params: Mapping[str, Any]) -> TrialConfig:
        study = self.study
        return study.sweep.candidate(study.world, study.scale, study.sets, params)

    def _digest(self) -> str:
        """Of everything that a suggestion or its value depends on, the budget aside: more of it goes on."""
        search = self.search
        prune = search.prune and vars(search.prune)
        parts = [search.objectives, search.sampler, search.seed, prune, [vars(limit) for limit in search.limits]]
        parts += [search.tuning_seeds, search.warm_start, identity(self._base), list(self._default().items())]
        return ids.digest([_space.describe(search.space), *parts])

    def _default(self) -> dict[str, Any]:
        """What the default has in the space; nothing where it lies outside."""
        found = _read(self.search.space, flatten(self._base))
        return found or {}

    def _possible(self, point: Point) -> bool:
        try:
            return bool(self._candidate(point.params))
        except ConfigError:
            return False

    def _next_candidate(self) -> Trial | None:
        """The next point that can be a trial; one that was stopped or cannot be gets its outcome here."""
        while point := self._waiting.popleft() if self._waiting else self.exploration.ask(self.budget):
            try:
                trial = self._trial(point)
            except ConfigError as error:
                self.exploration.tell(point.number, "failed", {}, {}, error=str(error), step=0, seconds=0.0)
                continue
            if point.stopped is None:
                self._running[trial.place] = point, time.monotonic()
                return trial
            self._tell(point, trial, 0.0)
        return None

    def _trial(self, point: Point) -> Trial:
        config = self._candidate(point.params)
        seed, *more = self.search.tuning_seeds
        watch = Watch(self.search.looks(config.optim.steps), self.search.watched)
        return Trial(_arm(point), seed, config, point.params, tuple(more), watch)

    def _tell(self, point: Point, trial: Trial, seconds: float) -> None:
        """Give a point its outcome: what the looks decided, or what its trainings came to."""
        known = {"trial": _train_id(trial.config), "seconds": seconds}
        if point.stopped:
            self.exploration.tell(point.number, point.stopped, {}, {}, step=_last(point), **known)
            return
        records = self._records(trial)
        statuses = {record["status"] for record in records}
        state = next((state for state in ("diverged", "collapsed") if state in statuses), "complete")
        known |= {"step": sum(record.get("steps") or 0 for record in records)}
        values = self._values(records, self.search.objectives)
        limits = self._values(records, [limit.name for limit in self.search.limits])
        self.exploration.tell(point.number, state, values, limits, **known)

    def _records(self, trial: Trial) -> list[dict[str, Any]]:
        seeds = (trial.config.seed, *trial.more_seeds)
        return [pipeline.record_part(trial.config.model_copy(update={"seed": s}), self._store) for s in seeds]

    def _values(self, records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, float]:
        """Means over the seeds; a number that some seed lacks is left out."""
        columns = {name: [_number(record, name) for record in records] for name in names}
        return {name: sum(column) / len(column) for name, column in columns.items() if None not in column}

    def _confirmation(self) -> Plan:
        return plans.plan(self.confirmed, self._store)

    def _planned(self, point: Point, hours: float) -> Planned:
        config = self._candidate(point.params) if self._possible(point) else self._base
        state = "to run" if point.state == "open" else "done"
        return Planned(Trial(_arm(point), self.search.tuning_seeds[0], config, point.params), state, hours)

    def _outcome(self, point: Point) -> dict[str, Any]:
        steps = self._trial(point).config.optim.steps if self._possible(point) else 0
        return {
            "values": point.values,
            "constraints": point.limits,
            "feasible": self.exploration.feasible(point) if point.state == "complete" else None,
            "step": point.about.get("step"),
            "steps": steps * len(self.search.tuning_seeds),
            "seconds": point.about.get("seconds"),
        }

    def _row(self, point: Point) -> dict[str, Any]:
        row = {"number": point.number, "params": point.params, "state": point.state, "note": point.note}
        row |= {"trial": point.about.get("trial"), "error": point.about.get("error")}
        return {**row, **self._outcome(point)}

    # --- warm start

    def _next_known(self) -> Trial | None:
        """The next recorded training to judge on validation tasks, which costs no training."""
        if not self.search.warm_start:
            return None
        if self._warm is None:
            self._warm = deque(self._find_known())
        while self._warm:
            name, params, config = self._warm.popleft()
            if name not in self.exploration.known:
                trial = Trial(f"known {name}", config.seed, config, params)
                self._running[trial.place] = Point(-1, params, note=name), time.monotonic()
                return trial
        return None

    def _find_known(self) -> list[tuple[str, dict[str, Any], TrialConfig]]:
        """Finished trainings in the space and otherwise like the default, whatever their seed, before the first ask."""
        if self.exploration.points:
            return []
        return [known for known in map(self._known, self._store.keys("train/")) if known][: self.budget]

    def _known(self, key: str) -> tuple[str, dict[str, Any], TrialConfig] | None:
        settings = plans.settings_of(key, self._store) if key.count("/") == 1 else None
        params = _read(self.search.space, settings) if settings else None
        if not params:
            return None
        try:
            config = self._candidate(params).model_copy(update={"seed": settings["seed"]})
        except ConfigError:
            return None
        return (key.removeprefix("train/"), params, config) if ids.train_key(config) == key else None


def importance(exploration: Exploration) -> dict[str, dict[str, float]]:
    """PED-ANOVA: each setting's share in what makes trials good, by objective; of settings that every trial has."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    done = [point for point in exploration.points if point.state == "complete"]
    found: dict[str, dict[str, float]] = {}
    for i, name in enumerate(exploration.search.objectives):
        if len(done) >= LEAST and len({point.values[name] for point in done}) > 1:
            shares = get_param_importances(
                exploration.optuna, evaluator=PedAnovaImportanceEvaluator(), target=lambda trial, i=i: trial.values[i]
            )
            found[name] = {path: float(share) for path, share in shares.items()}
    return found


LEAST = 10  # complete trials below which importances say nothing


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


def _number(record: Mapping[str, Any], name: str) -> float | None:
    """An objective or limited number of a trial."""
    costs = {
        "parameters": lambda: record.get("parameters"),
        "train_seconds": lambda: record["seconds"].get("train"),
        "memory": lambda: (record.get("memory") or {}).get("peak"),
    }
    return costs[name]() if name in costs else record["measures"].get(name)


def _arm(point: Point) -> str:
    return f"trial {point.number}"


def _train_id(config: TrialConfig) -> str:
    return ids.train_key(config).removeprefix("train/")


def _last(point: Point) -> int:
    """Updates that a training which was stopped has made."""
    return max(point.looks, default=0)
