"""A search is what its journal says: killed at any instant it goes on with the same suggestions and decisions."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces._search import asha, at_most, hyperband, median, search
from search_spaces._space import choice, integers, log_uniform, uniform
from study.explore import Exploration, front
from study.samplers import POINTS, Bisection

STEPS, BUDGET = 100, 16
NUMBERS = {"a": log_uniform(1e-2, 1e2), "b": uniform(0.0, 1.0)}
MIXED = {
    **NUMBERS,
    "c": choice("x", "y", then={"y": {"d": integers(1, 6), "e": choice(True, False)}}),
}
DEFAULT = {"a": 1.0, "b": 0.5, "c": "x"}
KINDS = {
    "random": {"space": MIXED, "sampler": "random"},
    "tpe": {"space": MIXED, "sampler": "tpe"},
    "tpe with asha": {"space": MIXED, "sampler": "tpe", "prune": asha("probe_r2")},
    "tpe with hyperband": {"space": MIXED, "sampler": "tpe", "prune": hyperband("probe_r2")},
    "tpe with median": {"space": MIXED, "sampler": "tpe", "prune": median("rollout_error_1")},
    "tpe with a limit": {"space": MIXED, "sampler": "tpe", "limits": [at_most("final_distance", 0.3)]},
    "cmaes": {"space": NUMBERS, "sampler": "cmaes"},
    "gp": {"space": MIXED, "sampler": "gp"},
    "nsga2": {"space": MIXED, "sampler": "nsga2", "objectives": ("success_rate", "final_distance")},
    "tpe for two": {"space": MIXED, "sampler": "tpe", "objectives": ("success_rate", "final_distance")},
    "bisection": {"space": {"a": log_uniform(1e-2, 1e2)}, "sampler": "bisection"},
}


class KilledError(Exception):
    """The driver is gone."""


class Memory:
    """A journal that goes through JSON, and that may be the last thing a driver writes."""

    def __init__(self):
        self.text: list[str] = []
        self.left = math.inf

    def lines(self):
        return [json.loads(line) for line in self.text]

    def append(self, line):
        if self.left <= 0:
            raise KilledError
        self.left -= 1
        self.text.append(json.dumps(line, allow_nan=False))


def declared(kind, **changes):
    given = {"objectives": ("success_rate",), "budget": BUDGET} | KINDS[kind] | changes
    return search(given.pop("space"), given.pop("objectives"), given.pop("budget"), **given)


def explore(declaration, journal, default=DEFAULT):
    known = {path: value for path, value in default.items() if path in declaration.space}
    return Exploration(declaration, journal, steps=STEPS, default=known)


def value(params):
    """One peak, and a conditional setting that matters."""
    bonus = 0.2 * params["d"] / 6 if params.get("c") == "y" else 0.0
    return bonus - (math.log10(params["a"]) - 0.5) ** 2 - (params.get("b", 0.3) - 0.3) ** 2


def go_on(exploration, budget=BUDGET):
    """What a driver with one trial at a time does."""
    declaration = exploration.search
    while point := next(iter(exploration.open), None) or exploration.ask(budget):
        for step in declaration.looks(STEPS):
            share = value(point.params) * step / STEPS
            look = {"variance_kept": 1.0, "probe_r2": share, "rollout_error_1": -share}
            if point.stopped or exploration.report(point.number, step, look):
                break
        numbers = {"success_rate": value(point.params), "final_distance": point.params.get("b", 0.0)}
        exploration.tell(point.number, point.stopped or "complete", numbers, numbers)
    return exploration


def decided(exploration):
    return [(point.params, point.state, point.looks, point.values) for point in exploration.points]


@pytest.mark.parametrize("kind", KINDS)
def test_killed_after_any_line_of_the_journal_it_goes_on_as_if_nothing_had_happened(kind):
    declaration, undisturbed = declared(kind), Memory()
    expected = decided(go_on(explore(declaration, undisturbed)))
    for last in range(0, len(undisturbed.text), max(1, len(undisturbed.text) // 9)):
        journal = Memory()
        journal.left = last
        with pytest.raises(KilledError):
            go_on(explore(declaration, journal))
        journal.left = math.inf
        assert decided(go_on(explore(declaration, journal))) == expected
        assert journal.text == undisturbed.text


@pytest.mark.parametrize("kind", KINDS)
def test_suggestions_lie_in_the_space_begin_with_the_default_and_differ_by_seed(kind):
    first, other = (go_on(explore(declared(kind, seed=seed), Memory())) for seed in (0, 1))
    assert first.points[0].note == "default"
    for point in first.points:
        for path, dimension in declared(kind).space.items():
            assert point.params[path] in dimension
        assert ("d" in point.params) == (point.params.get("c") == "y")
    params = [[point.params for point in found.points] for found in (first, other)]
    assert (params[0] == params[1]) == (kind == "bisection")


@pytest.mark.parametrize("kind", ["tpe with asha", "tpe with hyperband", "tpe with median"])
def test_pruning_stops_bad_trials_and_never_the_best_one(kind):
    found = go_on(explore(declared(kind, budget=40), Memory()), 40)
    states = [point.state for point in found.points]
    assert 5 <= states.count("pruned") < 40
    kept = [value(point.params) for point in found.points if point.state == "complete"]
    assert max(kept) == max(value(point.params) for point in found.points)


def test_a_monitor_of_which_less_is_better_prunes_what_has_more():
    """Rollout error and success disagree in sign, so the worst error must be the one that is stopped."""
    found = explore(declared("tpe with median", sampler="random"), Memory())
    looks = [{"variance_kept": 1.0, "rollout_error_1": error} for error in (0.2, 0.1, 0.3, 0.2, 0.1, 0.9, 0.05)]
    stopped = []
    for look in looks:
        point = found.ask(BUDGET)
        stopped.append(any(found.report(point.number, step, look) for step in found.search.looks(STEPS)))
        found.tell(point.number, point.stopped or "complete", {"success_rate": 0.5}, {})
    assert stopped == [False] * 5 + [True, False]


def test_a_collapse_ends_a_trial_whether_or_not_there_is_pruning():
    found = explore(declared("random"), Memory())
    point = found.ask(BUDGET)
    assert not found.report(point.number, 25, {"variance_kept": 0.001})  # it may come yet
    assert found.report(point.number, 50, {"variance_kept": 0.001})
    assert point.stopped == "collapsed"
    found.tell(point.number, point.stopped, {}, {})
    assert not found.feasible(point)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "prune" in KINDS[kind]])
@pytest.mark.parametrize("missing", ["probe_r2", "rollout_error_1", "variance_kept"])
def test_a_look_that_shows_no_number_is_followed_like_any_other(kind, missing):
    declaration, journal = declared(kind), Memory()
    found = explore(declaration, journal)
    for number in range(8):
        look = {"variance_kept": 1.0, "probe_r2": number / 9, "rollout_error_1": 1 - number / 9}
        point = found.ask(BUDGET)
        found.report(point.number, declaration.looks(STEPS)[0], {**look, missing: math.nan})
        found.tell(point.number, point.stopped or "complete", {"success_rate": 0.5}, {})
    assert decided(explore(declaration, journal)) == decided(found)
    assert any(point.stopped == "pruned" for point in found.points) == (missing == declaration.prune.monitor)


def test_raising_the_budget_goes_on_and_lowering_it_asks_for_nothing_more():
    declaration, journal = declared("tpe"), Memory()
    go_on(explore(declaration, journal), 8)
    more = go_on(explore(declaration, journal), 12)
    assert decided(more) == decided(go_on(explore(declaration, Memory()), 12))
    assert explore(declaration, journal).ask(5) is None


def test_a_repeated_look_and_a_late_outcome_change_nothing():
    found = explore(declared("tpe with asha"), journal := Memory())
    point = found.ask(BUDGET)
    look = {"variance_kept": 1.0, "probe_r2": 0.9}
    assert found.report(point.number, 25, look) == found.report(point.number, 25, {**look, "probe_r2": -9.0})
    found.tell(point.number, "complete", {"success_rate": 0.9}, {})
    lines = list(journal.text)
    found.report(point.number, 50, look)
    found.tell(point.number, "failed", {}, {})
    assert journal.text == lines
    assert point.state == "complete"


def test_an_objective_that_is_no_number_is_a_failure_and_not_a_zero():
    found = explore(declared("tpe"), Memory())
    point = found.ask(BUDGET)
    found.tell(point.number, "complete", {"success_rate": math.nan}, {})
    assert point.state == "failed"
    assert "no finite value" in point.about["error"]


def test_a_trial_past_a_limit_or_without_the_limited_number_cannot_be_chosen():
    found = explore(declared("tpe with a limit"), Memory())
    for limits, feasible in (({"final_distance": 0.3}, True), ({"final_distance": 0.31}, False), ({}, False)):
        point = found.ask(BUDGET)
        found.tell(point.number, "complete", {"success_rate": 1.0}, limits)
        assert found.feasible(point) is feasible


def test_the_sampler_learns_from_trials_that_are_none_of_its_own():
    """After twenty known trials around a peak, suggestions are near it without any of its own."""
    declaration = declared("tpe", space=NUMBERS)
    found = explore(declaration, journal := Memory(), default={})
    for i in range(20):
        params = {"a": 10 ** (-2 + 4 * i / 19), "b": (i * 7 % 20) / 19}
        found.know(f"known {i}", params, {"success_rate": value(params)}, {})
    again = explore(declaration, journal, default={})
    near = [abs(math.log10(again.ask(BUDGET).params["a"]) - 0.5) for _ in range(8)]
    assert sorted(near)[4] < 0.7  # a random one is off by 1.1 on average
    assert len(again.known) == 20


def test_the_sampler_learns_which_known_trials_pass_a_limit():
    """The best known ones all pass it, and of its own none is complete: suggestions keep to the others."""
    declaration = declared("tpe with a limit", space=NUMBERS)
    found = explore(declaration, journal := Memory(), default={})
    for i in range(40):
        params = {"a": 1.0, "b": i / 39}
        found.know(f"known {i}", params, {"success_rate": i / 39}, {"final_distance": i / 39})
    again = explore(declaration, journal, default={})
    assert sorted(again.ask(BUDGET).params["b"] for _ in range(8))[4] < 0.5


@given(peak=st.integers(0, POINTS - 1))
@settings(max_examples=20, deadline=None)
def test_bisection_finds_the_peak_of_33_points_in_some_ten_trials(peak):
    declaration = declared("bisection")
    found = explore(declaration, Memory(), default={})
    points = Bisection(declaration)._points
    asked = []
    while point := found.ask(BUDGET):
        asked.append(point.params["a"])
        found.tell(point.number, "complete", {"success_rate": -abs(math.log(point.params["a"] / points[peak]))}, {})
    assert points[peak] in asked
    assert len(asked) <= 2 * math.ceil(math.log2(POINTS))
    assert len(set(asked)) == len(asked)


def test_a_concurrent_bisection_waits_for_what_it_needs():
    found = explore(declared("bisection"), Memory(), default={})
    first, second = found.ask(BUDGET), found.ask(BUDGET)
    assert first.params != second.params
    assert found.ask(BUDGET) is None
    for point in (first, second):
        found.tell(point.number, "complete", {"success_rate": point.params["a"]}, {})
    assert found.ask(BUDGET).params["a"] > max(first.params["a"], second.params["a"])


def test_the_front_has_what_nothing_dominates():
    found = explore(declared("tpe for two"), Memory())
    for success, distance in ((0.5, 1.0), (0.9, 3.0), (0.9, 2.0), (0.4, 1.5), (0.5, 1.0), (1.0, 9.0)):
        point = found.ask(BUDGET)
        found.tell(point.number, "complete", {"success_rate": success, "final_distance": distance}, {})
    assert [point.number for point in front(found.points, found.search.objectives)] == [5, 2, 0]
