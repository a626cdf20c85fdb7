"""What came of a search: what is chosen, what matters, what it cost."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from search_spaces import _space
from search_spaces._search import FOUND, Search, about, direction
from search_spaces._sweep import identity
from study.candidates import Candidates
from study.explore import Exploration, Point, front

LEAST = 10  # complete trials below which importances say nothing


def chosen(exploration: Exploration, candidates: Candidates) -> dict[str, Point]:
    """What is confirmed beside the default, by arm: the best trials, or some spread over the Pareto front.

    Nothing where the default itself is the best.
    """
    search = exploration.search
    ranked = ranking(exploration)
    default, first = identity(candidates.base), {}
    for point in ranked:  # a search may try the same settings twice
        first.setdefault(identity(candidates.config(point.params)), point)
    others = [point for trial, point in first.items() if trial != default]
    if len(search.objectives) == 1:
        beaten = bool(ranked) and ranked[0] not in others
        others = others[: search.confirm - beaten]
    elif len(others) > search.confirm > 1:
        others = [others[round(i * (len(others) - 1) / (search.confirm - 1))] for i in range(search.confirm)]
    alone = search.confirm == 1
    return {search.name(FOUND) if alone else candidates.name(point): point for point in others[: search.confirm]}


def ranking(exploration: Exploration) -> list[Point]:
    """Trials that may be chosen, best first, an earlier one before a later one that is as good.

    Of several objectives only the Pareto front.
    """
    search = exploration.search
    points = [point for point in exploration.points if exploration.feasible(point)]
    if len(search.objectives) > 1:
        return front(points, search.objectives)
    (name,) = search.objectives
    sign = -1 if direction(name) else 1
    return sorted(points, key=lambda point: (sign * point.values[name], point.number))


def summary(exploration: Exploration, candidates: Candidates, budget: int, searched: bool) -> dict[str, Any]:
    """What `analysis` shows of the search; what is confirmed is known when it is `searched` through."""
    search, ranked = exploration.search, ranking(exploration)
    rows = [row(point, exploration, candidates) for point in exploration.points]
    feasible = [point for point in exploration.points if exploration.feasible(point)]
    found = chosen(exploration, candidates) if searched else {}
    return {
        **declared(search, budget),
        "searched": searched,
        "space": _space.describe(search.space),
        "default": candidates.default,
        "trials": rows,
        "importance": importance(exploration),
        "front": [point.number for point in front(feasible, search.objectives)],
        "best": ranked[0].number if ranked and len(search.objectives) == 1 else None,
        "confirmed": {name: point.number for name, point in found.items()},
        "known": len(exploration.known),
        "known_confirming": candidates.confirming(exploration.known),
        "spent": _spent(rows),
    }


def declared(search: Search, budget: int) -> dict[str, Any]:
    """How `analysis` is told of a search's declaration, but for its space."""
    return {
        "sampler": search.sampler,
        "seed": search.seed,
        "budget": budget,
        "split": search.split,
        "tuning_seeds": list(search.tuning_seeds),
        "prune": search.prune and {key: getattr(search.prune, key) for key in ("kind", "monitor", "first", "factor")},
        "objectives": [about(name) for name in search.objectives],
        "constraints": [{"name": each.name, "least": each.least, "most": each.most} for each in search.limits],
    }


def row(point: Point, exploration: Exploration, candidates: Candidates) -> dict[str, Any]:
    """A trial of the search: settings, state, numbers, cost."""
    return {
        "number": point.number,
        "params": point.params,
        "state": point.state,
        "note": point.note,
        "trial": point.about.get("trial"),
        "error": point.about.get("error"),
        "values": point.values,
        "constraints": point.limits,
        "feasible": exploration.feasible(point) if point.state == "complete" else None,
        "step": point.about.get("step"),
        "steps": candidates.steps(point),
        "seconds": point.about.get("seconds"),
    }


def importance(exploration: Exploration) -> dict[str, dict[str, float]]:
    """PED-ANOVA: each setting's share in what makes trials good, by objective; of settings that every trial has."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    done = [point for point in exploration.points if point.state == "complete"]
    own, found = exploration.own, {}
    for i, name in enumerate(exploration.search.objectives):
        if len(done) >= LEAST and len({point.values[name] for point in done}) > 1:
            sign = -1 if direction(name) else 1  # the evaluator takes less of a target to be better, and warns of it
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                shares = get_param_importances(
                    own,
                    evaluator=PedAnovaImportanceEvaluator(),
                    target=lambda trial, i=i, sign=sign: sign * trial.values[i],
                )
            found[name] = {path: float(share) for path, share in shares.items()}
    return found


def _spent(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {
        "trials": len(rows),
        "steps": sum(each["step"] or 0 for each in rows),
        "full_steps": sum(each["steps"] or 0 for each in rows),
        "hours": sum(each["seconds"] or 0.0 for each in rows) / 3600,
    }
