"""A search as a sequence of events in a journal: asked, reported, told. What is in the journal is all there is to it.

The Optuna study lives in memory and is rebuilt by replaying the journal, so a driver that is killed at any instant
loses nothing: suggestions, looks, decisions and results are on disk before anything follows from them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState, create_trial

from search_spaces._search import Search, direction
from search_spaces._space import Choice, Dimension, present
from study import samplers
from trainables import monitors, pipeline

# What became of a trial, and what Optuna is told of it. A diverged training says as little for its settings as a
# pruned one that never came to a look.
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "collapsed": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Journal(Protocol):
    """Durable lines: what `append` was given is on disk when it returns."""

    def lines(self) -> list[dict[str, Any]]:
        """Every line so far."""

    def append(self, line: dict[str, Any]) -> None:
        """One more."""


@dataclass
class Point:
    """A trial of a search: what was chosen for it, and what is known of it."""

    number: int
    params: dict[str, Any]
    note: str | None = None  # "default"
    state: str = "open"
    values: dict[str, float] = field(default_factory=dict)  # of objectives
    limits: dict[str, float] = field(default_factory=dict)  # of limited numbers
    looks: dict[int, dict[str, float]] = field(default_factory=dict)  # step -> watched numbers
    stopped: str | None = None  # "pruned" or "collapsed", once decided
    crashes: int = 0
    about: dict[str, Any] = field(default_factory=dict)  # trial id, steps, seconds, error


class Exploration:
    """Ask, report, tell; every answer is a function of the journal. `steps`: updates of a whole training."""

    def __init__(self, search: Search, journal: Journal, *, steps: int, default: Mapping[str, Any] | None = None):
        self.search, self.points = search, []
        self._journal, self._default = journal, dict(default or {})
        self._objectives = [direction(name) for name in search.objectives]
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._optuna = optuna.create_study(
            directions=["maximize" if better else "minimize" for better in self._objectives],
            sampler=samplers.sampler(search, 0),
            pruner=samplers.pruner(search, steps),
            study_name="search",  # Hyperband chooses brackets by it
        )
        self._trials: list[optuna.Trial] = []
        self._known: set[str] = set()
        for number, line in enumerate(journal.lines(), start=1):
            try:
                self._replay(line)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise ValueError(f"line {number} cannot be followed: {error or type(error).__name__}") from error

    @property
    def own(self) -> optuna.Study:
        """The search's own trials as a study, to be read."""
        numbers = {trial.number for trial in self._trials}
        found = optuna.create_study(directions=self._optuna.directions)
        found.add_trials([trial for trial in self._optuna.get_trials(deepcopy=False) if trial.number in numbers])
        return found

    @property
    def open(self) -> list[Point]:
        """Trials that were asked for and have no outcome yet."""
        return [point for point in self.points if point.state == "open"]

    def more(self, budget: int) -> bool:
        """Whether there is something to ask for; bisection may have to wait for what is open."""
        if len(self.points) >= budget:
            return False
        if self.search.sampler != "bisection" or (not self.points and self._default):
            return True
        return samplers.Bisection(self.search).wanted(self._optuna)[0] is not None

    def ask(self, budget: int) -> Point | None:
        """The next point, on disk before it is returned; None if there is nothing to ask for."""
        if not self.more(budget):
            return None
        number = len(self.points)
        note = "default" if number == 0 and self._default else None
        params = self._suggest(number, samplers.sampler(self.search, number), self._default if note else None)
        self._journal.append({"event": "ask", "number": number, "params": params, "note": note})
        self.points.append(Point(number, params, note))
        return self.points[-1]

    def report(self, number: int, step: int, values: Mapping[str, float]) -> bool:
        """A look at training `number` after `step` updates; whether it is to stop. A repeated look changes nothing."""
        point = self.points[number]
        if point.state == "open" and point.stopped is None and step not in point.looks:
            values = _finite(values)
            stop = self._judge(number, step, values)
            line = {"event": "report", "number": number, "step": step, "values": values, "stop": stop}
            self._journal.append(line)
            point.looks[step], point.stopped = line["values"], stop
        return point.stopped is not None

    def tell(
        self, number: int, state: str, values: Mapping[str, float], limits: Mapping[str, float], **about: Any
    ) -> None:
        """The outcome of a trial: one of STATES, its objectives, its limited numbers, and what else to remember."""
        if self.points[number].state != "open":
            return
        values = _finite(values)
        if state == "complete" and not values.keys() >= {*self.search.objectives}:
            state, about = "failed", {**about, "error": about.get("error") or "an objective has no finite value"}
        line = {"event": "tell", "number": number, "state": state, "about": about}
        line |= {"values": values, "limits": _finite(limits)}
        self._journal.append(line)
        self._told(line)

    def crashed(self, number: int, error: str) -> int:
        """Remember that a trial crashed; how often it has by now."""
        self._journal.append({"event": "crash", "number": number, "error": error})
        self.points[number].crashes += 1
        return self.points[number].crashes

    def know(
        self, name: str, params: Mapping[str, Any], values: Mapping[str, float], limits: Mapping[str, float]
    ) -> None:
        """Let the sampler learn from a trial that is none of the search's own; `name` tells it from others."""
        if name not in self._known:
            line = {"event": "know", "name": name, "params": dict(params), "values": _finite(values)}
            line["limits"] = _finite(limits)
            self._journal.append(line)
            self._learn(line)

    @property
    def known(self) -> set[str]:
        """Names of the trials that the sampler was told of and that are not the search's own."""
        return set(self._known)

    def feasible(self, point: Point) -> bool:
        """Whether a complete trial keeps every limit."""
        return point.state == "complete" and all(excess <= 0 for excess in self._excess(point.limits).values())

    def _suggest(self, number: int, sampler: BaseSampler, fixed: Mapping[str, Any] | None) -> dict[str, Any]:
        if fixed is not None:
            self._optuna.enqueue_trial(dict(fixed))
        self._optuna.sampler = sampler
        self._trials.append(self._optuna.ask())
        return samplers.draw(self._trials[-1], self.search.space)

    def _suggest_again(self, number: int, params: dict[str, Any], note: str | None) -> None:
        """Bring the study to where it was after this suggestion; ValueError if it would now be another one."""
        if note or self.search.sampler not in samplers.REMEMBERING:
            # The sampler is not asked: everything is fixed.
            if self._suggest(number, RandomSampler(seed=0), params) != params:
                raise ValueError(f"params: {params} are not of the search's space")
        elif self._suggest(number, samplers.sampler(self.search, number), None) != params:
            raise ValueError(
                f"trial {number} of the search would be another one with optuna {optuna.__version__} than with that "
                "which began it: go on with that version"
            )

    def _judge(self, number: int, step: int, values: Mapping[str, float]) -> str | None:
        """ "collapsed", "pruned" or None; a pruner stops what has no finite value.

        A latent that is still to unfold looks collapsed at first, so one look is not enough to say so.
        """
        looks = (*self.points[number].looks.values(), values)
        if sum(look.get(monitors.ALWAYS, math.inf) < pipeline.COLLAPSED_VARIANCE for look in looks) > 1:
            return "collapsed"
        if self.search.prune is None:
            return None
        monitor = self.search.prune.monitor
        sign = 1.0 if monitors.higher_is_better(monitor) == self._objectives[0] else -1.0
        self._trials[number].report(sign * values.get(monitor, math.nan), step)
        return "pruned" if self._trials[number].should_prune() else None

    def _told(self, line: Mapping[str, Any]) -> None:
        point, trial = self.points[line["number"]], self._trials[line["number"]]
        point.state, point.values, point.limits, point.about = (line[k] for k in ("state", "values", "limits", "about"))
        if point.state == "complete":
            for name, excess in self._excess(point.limits).items():
                trial.set_constraint(name, excess)
            self._optuna.tell(trial, [point.values[name] for name in self.search.objectives])
        else:
            self._optuna.tell(trial, state=STATES[point.state])

    def _excess(self, limits: Mapping[str, float]) -> dict[str, float]:
        """By how much each limit is passed, above 0 where it is; one without a value is."""
        found = {}
        for limit in self.search.limits:
            value = limits.get(limit.name, math.nan)
            most = value - limit.most if limit.most is not None else limit.least - value
            found[limit.name] = most if math.isfinite(most) else 1e9
        return found

    def _learn(self, line: Mapping[str, Any]) -> None:
        dimensions = present(self.search.space, line["params"])
        trial = create_trial(
            params=dict(line["params"]),
            distributions={path: _distribution(dimension) for path, dimension in dimensions.items()},
            values=[line["values"][name] for name in self.search.objectives],
            constraints=self._excess(line["limits"]),
        )
        self._optuna.add_trial(trial)
        self._known.add(line["name"])

    def _check(self, line: Mapping[str, Any]) -> None:
        event, number, due = line["event"], line.get("number"), len(self.points)
        if event not in ("ask", "report", "tell", "crash", "know"):
            raise ValueError(f"event: {event!r} is unknown")
        if event != "know" and number not in (range(due) if event != "ask" else (due,)):
            raise ValueError(f"number: {number!r} in {event!r}, when {due} were asked for")

    def _replay(self, line: Mapping[str, Any]) -> None:
        """Take in a line of the journal as if it had just happened; ValueError for one that cannot have."""
        self._check(line)
        if line["event"] == "ask":
            self._suggest_again(line["number"], line["params"], line["note"])
            self.points.append(Point(line["number"], line["params"], line["note"]))
        elif line["event"] == "report":
            self._judge(line["number"], line["step"], line["values"])
            point = self.points[line["number"]]
            point.looks[line["step"]], point.stopped = line["values"], line["stop"]
        elif line["event"] == "tell":
            self._told(line)
        elif line["event"] == "crash":
            self.points[line["number"]].crashes += 1
        elif line["event"] == "know":
            self._learn(line)


def front(points: Sequence[Point], objectives: Sequence[str]) -> list[Point]:
    """The points that no other one is better than in some objective and as good in all; best in the first one first."""
    signs = [1.0 if direction(name) else -1.0 for name in objectives]
    rows = [[sign * point.values[name] for sign, name in zip(signs, objectives, strict=True)] for point in points]
    kept = [
        i
        for i, row in enumerate(rows)
        if not any(_dominates(other, row) or (other == row and j < i) for j, other in enumerate(rows))
    ]
    return [points[i] for i in sorted(kept, key=lambda i: ([-value for value in rows[i]], i))]


def _dominates(first: list[float], second: list[float]) -> bool:
    return first != second and all(a >= b for a, b in zip(first, second, strict=True))


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """JSON knows no NaN: what is none is left out."""
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
