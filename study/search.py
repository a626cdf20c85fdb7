"""A search as a source of trials: candidates on validation tasks first, then what confirms them on test tasks.

Candidates train with tuning seeds. What confirms them is an ordinary sweep of two or more arms with other seeds.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import Any

from search_spaces._search import FOUND
from search_spaces._sweep import Trial
from study import plan as plans
from study import search_summary
from study.candidates import Candidates, Known, means
from study.explore import Exploration, Point
from study.plan import KNOWN, Plan, Planned, Study
from study.sources import TRIES, Arms
from trainables import ids, pipeline
from trainables.settings import ConfigError
from trainables.store import Store, StoreError

FAILURES = 2  # candidates that may fail for good before one has come to its end


class StoreJournal:
    """A journal in the store; without a store it is empty and kept nowhere."""

    def __init__(self, store: Store | None, name: str):
        self._store, self._name = store, name
        self._count = 0

    def lines(self) -> list[dict[str, Any]]:
        """See `explore.Journal`."""
        found = self._store.lines(self._name) if self._store else []
        self._count = len(found)
        return found

    def append(self, line: dict[str, Any]) -> None:
        """See `explore.Journal`; StoreError if another process has added to it since it was read."""
        self._store.append(self._name, self._count, line)
        self._count += 1


class Searching:
    """Source of a study whose sweep has a search: `budget` candidates, then what confirms them."""

    def __init__(self, study: Study, store: Store | None, budget: int | None = None):
        self._study, self._store = study, store
        self.budget = budget or study.sweep.search.budget
        self.candidates = Candidates(study, store)
        self.configs = [self.candidates.base]
        self.journal = self.candidates.key
        journal = StoreJournal(store, self.journal)
        steps, default = self.candidates.base.optim.steps, self.candidates.default
        try:
            self.exploration = Exploration(study.sweep.search, journal, steps=steps, default=default)
        except ValueError as error:
            raise StoreError(f"the search's journal notes/{self.journal}.jsonl cannot be used: {error}") from error
        self._waiting = deque(self.exploration.open)
        self._running: dict[tuple[str, int], tuple[Point, float]] = {}
        self._known: deque[Known] | None = None
        self._confirming: Arms | None = None

    def next(self) -> Trial | None:
        """The next candidate; when all have their outcome, the trials that confirm."""
        if trial := self._next_known() or self._next_candidate():
            return trial
        if not self.searched:
            return None
        if self._confirming is None:
            open_ = plans.plan(self.confirmed, self._store).open
            self._confirming = Arms([planned.trial for planned in open_], self._store)
        return self._confirming.next()

    @property
    def finished(self) -> bool:
        """See `sources.Source`."""
        return self._confirming is not None and self._confirming.finished

    def judge(self, trial: Trial, report: dict[str, Any]) -> bool:
        """Note what the looks at a candidate's training show; whether it is to stop."""
        if trial.place not in self._running:
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
            return self._learn(point, trial)
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
        pipeline.fail(trial.config, self._store, error)
        if point.number < 0:
            return self._learn(point, trial)
        self._check_machine(error)
        spent = {"trial": _train_id(trial), "step": _last(point), "seconds": time.monotonic() - began}
        self.exploration.tell(point.number, "failed", {}, {}, error=error, **spent)
        return self.record(point)

    def _check_machine(self, error: str) -> None:
        """StoreError when nothing but failures has come of the search: more of the budget is not spent on them."""
        states = [point.state for point in self.exploration.points if point.state != "open"]
        if len(states) >= FAILURES and set(states) == {"failed"}:
            line = error.strip().splitlines()[-1]
            raise StoreError(f"every trial of the search fails, {len(states)} did and one more {TRIES} times: {line}")

    @property
    def searched(self) -> bool:
        """Whether every candidate has its outcome."""
        under_way = self._running or self._waiting or self._known
        return not under_way and not self.exploration.open and not self.exploration.more(self.budget)

    @property
    def confirmed(self) -> Study:
        """The study whose arms are the default and, once the search is over, what it chose."""
        found = search_summary.chosen(self.exploration, self.candidates) if self.searched else {}
        default = self._study.sweep.arms[0].changes
        arms = {name: {**default, **point.params} for name, point in found.items()}
        return replace(self._study, sweep=self._study.sweep.confirming(arms))

    def plan(self) -> Plan:
        """Candidates, then what confirms them; what is not known yet is taken to last as long as the default."""
        confirming = plans.plan(self.confirmed, self._store)
        hours = confirming.planned[0].hours
        points = [self._planned(point, hours) for point in self.exploration.points]
        coming, found = ([], []) if self.searched else self._coming()
        unknown = [
            [Planned(Trial(*place, self.candidates.base), "to run", hours, known=False) for place in places]
            for places in (coming, found)
        ]
        return Plan([*points, *unknown[0], *confirming.planned, *unknown[1]], confirming.evidence)

    def record(self, point: Point) -> dict[str, Any]:
        """A candidate's record: that of its first training, what it was told to be, and its part in the search."""
        trial = self.candidates.trial(point)
        record = {"arm": trial.arm, "seed": trial.seed, **pipeline.record_part(trial.config, self._store)}
        if point.state != "complete":
            record["status"] = "crashed" if point.state == "failed" else point.state
        record["error"] = point.about.get("error")
        looks = [{"step": step, **values} for step, values in sorted(point.looks.items())]
        return {**record, "search": {**search_summary.row(point, self.exploration, self.candidates), "looks": looks}}

    def records(self) -> list[tuple[Trial, dict[str, Any]]]:
        """Every candidate that has its outcome, with its record."""
        points = [point for point in self.exploration.points if point.state != "open"]
        return [
            (self.candidates.trial(point), self.record(point)) for point in points if self.candidates.possible(point)
        ]

    def summary(self) -> dict[str, Any]:
        """What `analysis` shows of the search."""
        return search_summary.summary(self.exploration, self.candidates, self.budget, self.searched)

    def _next_candidate(self) -> Trial | None:
        """The next point that can be a trial; one that was stopped or cannot be gets its outcome here."""
        while point := self._waiting.popleft() if self._waiting else self.exploration.ask(self.budget):
            try:
                trial = self.candidates.trial(point)
            except ConfigError as error:
                self.exploration.tell(point.number, "failed", {}, {}, error=str(error), step=0, seconds=0.0)
                continue
            if point.stopped is None:
                self._running[trial.place] = point, time.monotonic()
                return trial
            self._tell(point, trial, 0.0)
        return None

    def _tell(self, point: Point, trial: Trial, seconds: float) -> None:
        """Give a point its outcome: what the looks decided, or what its trainings came to."""
        if point.stopped:
            state, values, limits, step = point.stopped, {}, {}, _last(point)
        else:
            state, values, limits, step = self.candidates.outcome(trial)
            seconds = self.candidates.seconds(trial)
        self.exploration.tell(point.number, state, values, limits, trial=_train_id(trial), step=step, seconds=seconds)

    def _next_known(self) -> Trial | None:
        """The next recorded training to judge on validation tasks, which costs no training; before the first ask."""
        if not self._study.sweep.search.warm_start or self.exploration.points:
            return None
        if self._known is None:
            found = self.candidates.known()[: self.budget]
            self._known = deque(known for known in found if known[0] not in self.exploration.known)
        if not self._known:
            return None
        name, params, config = self._known.popleft()
        trial = Trial(f"{KNOWN}{self._study.sweep.search.name(name)}", config.seed, config, params)
        self._running[trial.place] = Point(-1, params, note=name), time.monotonic()
        return trial

    def _learn(self, point: Point, trial: Trial) -> dict[str, Any]:
        """Let the sampler know of a recorded training, if it could be judged."""
        (record,) = self.candidates.records(trial)
        search = self._study.sweep.search
        values, limits = means([record], search.objectives), means([record], [limit.name for limit in search.limits])
        if record["status"] == "ok" and len(values) == len(search.objectives):
            self.exploration.know(point.note, point.params, values, limits)
        return record

    def _planned(self, point: Point, hours: float) -> Planned:
        config = self.candidates.config(point.params) if self.candidates.possible(point) else self.candidates.base
        state = "to run" if point.state == "open" else "done"
        seed = self._study.sweep.search.tuning_seeds[0]
        return Planned(Trial(self.candidates.name(point), seed, config, point.params), state, hours)

    def _coming(self) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """Places of candidates that were not asked for, and of arms that were not found."""
        search = self._study.sweep.search
        names = [FOUND] if search.confirm == 1 else [f"found {i + 1}" for i in range(search.confirm)]
        numbers = range(len(self.exploration.points), self.budget)
        coming = [(search.name(f"trial {i}"), search.tuning_seeds[0]) for i in numbers]
        return coming, [(search.name(name), seed) for seed in self._study.seeds for name in names]


def _train_id(trial: Trial) -> str:
    return ids.train_key(trial.config).removeprefix("train/")


def _last(point: Point) -> int:
    """Updates that a training which was stopped has made."""
    return max(point.looks, default=0)
