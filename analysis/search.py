"""What a search found, worked out from its trials: candidates, the front, the winner, edges of ranges, search.csv."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import polars as pl

from analysis.records import json_text
from analysis.search_records import STATES, Dimension, Measure, Search, SearchTrial

EDGE = 0.05  # share of a range from its ends that counts as its edge
WAYS = 3  # with fewer values than this every value is an edge
LARGEST = 1e300  # a setting beyond cannot stand on an axis


class Edge(NamedTuple):
    """A setting that was chosen and lies at an end of where it was looked for."""

    path: str
    value: float
    side: str  # "lower" or "upper"


class Point(NamedTuple):
    """How far a search was when a trial was over, trials taken in the order of their numbers."""

    trial: SearchTrial
    steps: int  # training steps spent by then
    best: float | None  # of the first objective so far


def default(search: Search) -> SearchTrial | None:
    """The trial of the default's settings, if the search tried them."""
    return next((trial for trial in search.trials if trial.note == "default"), None)


def by_number(search: Search, number: int | None) -> SearchTrial | None:
    """The trial of that number, or None."""
    return next((trial for trial in search.trials if trial.number == number), None)


def violated(search: Search, trial: SearchTrial) -> list[str]:
    """Names of the constraints that the trial is measured to break."""
    values = [(limit, trial.limited(limit.name)) for limit in search.constraints]
    return [limit.name for limit, value in values if value is not None and not limit.keeps(value)]


def feasible(search: Search, trial: SearchTrial) -> bool:
    """Whether nothing says that the trial breaks a constraint."""
    return trial.feasible is not False and not violated(search, trial)


def valued(search: Search, trial: SearchTrial) -> bool:
    """Whether the trial has a value for every objective."""
    return all(trial.value(objective.name) is not None for objective in search.objectives)


def candidates(search: Search) -> list[SearchTrial]:
    """Trials that may win: judged in full, within the constraints; warm starts only where the search names them."""
    named = {search.best, *search.front, *search.confirmed.values()}
    return [
        trial
        for trial in search.trials
        if (trial.state == "complete" or (trial.state == "known" and trial.number in named))
        and valued(search, trial)
        and feasible(search, trial)
    ]


def score(objective: Measure, trial: SearchTrial) -> float:
    """The objective's value with its sign changed where lower is better; minus infinity where there is none."""
    value = trial.value(objective.name)
    return -math.inf if value is None else (-value if objective.higher_is_better is False else value)


def dominates(search: Search, one: SearchTrial, other: SearchTrial) -> bool:
    """Whether `one` is as good in every objective and better in some."""
    pairs = [(score(objective, one), score(objective, other)) for objective in search.objectives]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def front(search: Search) -> list[SearchTrial]:
    """Candidates that no other one dominates, best in the first objective first."""
    best: list[SearchTrial] = []
    for one in sorted(candidates(search), key=lambda trial: _place(search, trial)):
        if not any(dominates(search, other, one) for other in best):  # in this order only earlier ones can
            best.append(one)
    return best


def _place(search: Search, trial: SearchTrial) -> tuple[list[float], int]:
    return [-score(objective, trial) for objective in search.objectives], trial.number


def winner(search: Search) -> SearchTrial | None:
    """The trial that the search names as its best, if it is on the front.

    With one objective a better candidate takes its place; with several only the search can say which of the front.
    """
    best = front(search)
    named = next((trial for trial in best if trial.number == search.best), None)
    return named or (best[0] if best and len(search.objectives) == 1 else None)


def chosen(search: Search) -> list[SearchTrial]:
    """The winner and every trial whose settings an arm has."""
    best, confirmed = winner(search), set(search.confirmed.values())
    return [trial for trial in search.trials if trial is best or trial.number in confirmed]


def top(search: Search, count: int) -> list[SearchTrial]:
    """The best candidates by the first objective."""
    return sorted(candidates(search), key=lambda trial: (-score(search.objectives[0], trial), trial.number))[:count]


def counts(search: Search) -> dict[str, int]:
    """Trials by state, in the order of STATES, those without a trial left out."""
    found = Counter(trial.state for trial in search.trials)
    return {state: found[state] for state in STATES if found[state]}


def steps_spent(search: Search) -> tuple[int, int]:
    """Training steps taken and what full trainings would have taken, as the search says or else by its trials."""
    own = [trial for trial in search.trials if trial.state != "known"]
    taken = search.spent.steps if search.spent.steps is not None else sum(trial.step or 0 for trial in own)
    full = search.spent.full_steps if search.spent.full_steps is not None else sum(trial.steps or 0 for trial in own)
    return taken, full


def progress(search: Search) -> list[Point]:
    """A point per trial that was asked for, warm starts aside, in the order of their numbers."""
    objective, points = search.objectives[0], []
    able, steps, best = {trial.number for trial in candidates(search)}, 0, None
    for trial in search.trials:
        if trial.state == "known":
            continue
        steps += trial.step or 0
        if trial.number in able and (best is None or score(objective, trial) > score(objective, best)):
            best = trial
        points.append(Point(trial, steps, best and best.value(objective.name)))
    return points


def edges(search: Search) -> list[Edge]:
    """Settings within EDGE of an end of their range, of the winner or else what is confirmed; no categories."""
    best = winner(search)
    trials = chosen(search) if best is None else [best]
    found = [(path, trial.params.get(path)) for path in search.space for trial in trials]
    sides = [Edge(path, value, _side(search.space[path], value) or "") for path, value in found]
    return list({(edge.path, edge.side): edge for edge in sides if edge.side}.values())


def _side(dimension: Dimension, value: Any) -> str | None:
    ends = _ends(dimension)
    if ends is None or not is_number(value) or not ends[0] <= value <= ends[1]:
        return None
    low, high, at = (math.log(x) if dimension.kind == "log" else x for x in (*ends, value))
    near = EDGE * (high - low)
    return "lower" if at - low <= near else "upper" if high - at <= near else None


def _ends(dimension: Dimension) -> tuple[float, float] | None:
    """The ends of an axis on which more than both ends can be chosen; None for categories and single points."""
    values = dimension.values if dimension.kind == "choice" else [dimension.low, dimension.high]
    if not values or not all(map(is_number, values)) or min(values) >= max(values):
        return None
    few = {"choice": len(set(values)), "integers": max(values) - min(values) + 1}.get(dimension.kind, WAYS)
    no_log = dimension.kind == "log" and min(values) <= 0
    return None if few < WAYS or no_log else (min(values), max(values))


def is_number(value: Any) -> bool:
    """Whether a setting can stand on a numeric axis."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def paths(search: Search) -> list[str]:
    """Every setting that was looked for or that a trial has, declared ones first."""
    seen = {path for trial in search.trials for path in trial.params}
    return [*search.space, *sorted(seen - search.space.keys())]


def short_names(names: list[str]) -> dict[str, str]:
    """Each dotted path by as few of its last parts as tell it apart, two at least."""

    def tail(path: str, parts: int) -> str:
        return ".".join(path.split(".")[-parts:])

    def unique(path: str, parts: int) -> bool:
        return sum(tail(other, parts) == tail(path, parts) for other in names) == 1

    lengths = {path: range(2, path.count(".") + 2) for path in names}
    return {path: tail(path, next((n for n in lengths[path] if unique(path, n)), 99)) for path in names}


def table(search: Search) -> pl.DataFrame:
    """search.csv: a row per trial by number; of several searches with the arm that was tuned in front.

    `value.<objective>` and `constraint.<name>` in their own units, rates as fractions; `param.<path>` is a number or
    plain text where all of a column is, else JSON; `step` of `steps` training steps; `seconds` of the trial.
    """
    if search.each:
        tables = [table(one).insert_column(0, pl.lit(arm).alias("arm")) for arm, one in search.each.items()]
        return pl.concat(tables, how="diagonal_relaxed")
    trials = search.trials
    columns = [_plain(trials, "number", pl.Int64), _plain(trials, "state", pl.String)]
    columns += [_plain(trials, "feasible", pl.Boolean)]
    columns += [
        pl.Series(f"value.{one.name}", [trial.value(one.name) for trial in trials], pl.Float64)
        for one in search.objectives
    ]
    columns += [
        pl.Series(f"constraint.{name}", [trial.limited(name) for trial in trials], pl.Float64)
        for name in dict.fromkeys(limit.name for limit in search.constraints)
    ]
    columns += [_params(trials, path) for path in paths(search)]
    columns += [_plain(trials, name, pl.Int64) for name in ("step", "steps")] + [_plain(trials, "seconds", pl.Float64)]
    columns += [_plain(trials, name, pl.String) for name in ("trial", "note", "error")]
    return pl.DataFrame({column.name: column for column in columns})


def _plain(trials: list[SearchTrial], name: str, dtype: Any) -> pl.Series:
    return pl.Series(name, [getattr(trial, name) for trial in trials], dtype)


def _params(trials: list[SearchTrial], path: str) -> pl.Series:
    values = [trial.params.get(path) for trial in trials]
    there = [value for value in values if value is not None]
    name = f"param.{path}"
    if there and all(map(is_number, there)):
        whole = all(isinstance(value, int) and abs(value) < 2**63 for value in there)
        return pl.Series(name, values if whole else [x if x is None else float(x) for x in values])
    if all(isinstance(value, str) for value in there):
        return pl.Series(name, values, pl.String)
    texts = [json_text(trial.params[path]) if path in trial.params else None for trial in trials]
    return pl.Series(name, texts, pl.String)
