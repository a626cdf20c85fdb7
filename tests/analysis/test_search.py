"""What a search found is worked out from its trials: fronts, winners, edges; nothing failed can win."""

import io
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from analysis import search
from analysis.search_records import STATES, Search


def numbers(trials):
    return [trial.number for trial in trials]


def two(point, *values, **changes):
    """Trials of two objectives: success rate, parameters."""
    return [
        point(i, values={"success_rate": success, "parameters": size}, **changes)
        for i, (success, size) in enumerate(values)
    ]


def test_trials_stand_by_number_and_a_number_stands_once(make_search, point):
    trials = [point(2, 0.5), point(0, 0.6), point(1, 0.7)]
    assert numbers(Search.model_validate(make_search(trials)).trials) == [0, 1, 2]
    with pytest.raises(ValidationError, match="two trials of a search have number 1"):
        Search.model_validate(make_search([point(1, 0.5), point(1, 0.6)]))


def test_null_is_absent_and_what_is_not_known_is_kept(make_search):
    names = ("seed", "budget", "prune", "constraints", "importance", "front", "best", "confirmed", "spent", "space")
    found = Search.model_validate(make_search() | dict.fromkeys(names) | {"sampler": None, "something": [1]})
    assert (found.prune, found.front, found.spent.hours, found.best) == ({}, [], None, None)
    assert found.model_dump()["something"] == [1]


def test_the_best_value_wins_whatever_the_summary_names(make_search):
    for best in (None, 1, 5, 99):
        assert search.winner(Search.model_validate(make_search(best=best))).number == 3


def test_of_equal_values_the_one_that_the_summary_names_wins(make_search, point):
    trials = [point(0, 0.5), point(1, 0.9), point(2, 0.9)]
    assert search.winner(Search.model_validate(make_search(trials, best=2))).number == 2
    assert search.winner(Search.model_validate(make_search(trials))).number == 1


def test_lower_is_better_where_the_objective_says_so(make_search, point):
    found = Search.model_validate(make_search([point(0, 0.5), point(1, 0.9)], ["parameters"]))
    assert search.winner(found).number == 0


def test_what_failed_was_pruned_or_breaks_a_constraint_cannot_win(make_search, point):
    high = {"success_rate": 1.0}
    trials = [point(0, 0.4)] + [point(i, state=state, values=high) for i, state in enumerate(STATES[1:], 1)]
    trials += [point(8, 1.0, feasible=False), point(9, 1.0, constraints={"planning_seconds": 1.2})]
    trials += [point(10, math.nan), point(11, math.inf)]
    limits = [{"name": "planning_seconds", "least": None, "most": 1.0}]
    found = Search.model_validate(make_search(trials, constraints=limits, best=9))
    assert numbers(search.candidates(found)) == [0]
    assert search.winner(found).number == 0
    assert search.violated(found, search.by_number(found, 9)) == ["planning_seconds"]


def test_a_warm_start_wins_only_where_the_search_says_so(make_search, point):
    trials = [point(0, 0.4), point(1, 0.9, "known")]
    assert search.winner(Search.model_validate(make_search(trials))).number == 0
    assert search.winner(Search.model_validate(make_search(trials, best=1))).number == 1


def test_the_front_is_what_no_trial_beats_in_every_objective(make_search, point):
    trials = two(point, (0.9, 10), (0.8, 5), (0.8, 6), (0.7, 7), (0.95, 20), (0.2, 1))
    found = Search.model_validate(make_search(trials, ["success_rate", "parameters"], front=[2, 4], best=3))
    assert numbers(search.front(found)) == [4, 0, 1, 5]
    assert search.winner(found) is None  # the one named is beaten, and which of the front is best nobody said
    assert search.winner(found.model_copy(update={"best": 1})).number == 1


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.sampled_from(STATES)), max_size=12)
)
@settings(deadline=None)
def test_nothing_on_the_front_is_beaten_and_all_else_is(values):
    names = ("a", "b", "c")
    trials = [
        {"number": i, "state": state, "values": dict(zip(names, map(float, row), strict=True))}
        for i, (*row, state) in enumerate(values)
    ]
    objectives = [{"name": name, "higher_is_better": name != "b"} for name in names]
    found = Search.model_validate({"objectives": objectives, "trials": trials})
    front = search.front(found)
    for trial in search.candidates(found):
        beaten = any(search.dominates(found, other, trial) for other in search.candidates(found))
        assert beaten != (trial in front)


@pytest.mark.parametrize(
    ("space", "value", "side"),
    [
        ({"kind": "uniform", "low": 0, "high": 1}, 0.5, None),
        ({"kind": "uniform", "low": 0, "high": 1}, 0.04, "lower"),
        ({"kind": "uniform", "low": 0, "high": 1}, 0.96, "upper"),
        ({"kind": "log", "low": 0.001, "high": 1}, 0.04, None),
        ({"kind": "log", "low": 0.001, "high": 1}, 0.9, "upper"),
        ({"kind": "log", "low": 0, "high": 1}, 0.9, None),
        ({"kind": "integers", "low": 1, "high": 8}, 8, "upper"),
        ({"kind": "integers", "low": 1, "high": 8}, 7, None),
        ({"kind": "integers", "low": 1, "high": 2}, 2, None),
        ({"kind": "choice", "values": [64, 128, 192]}, 192, "upper"),
        ({"kind": "choice", "values": [64, 128]}, 128, None),
        ({"kind": "choice", "values": ["conv", "vit"]}, "vit", None),
        ({"kind": "uniform", "low": 0, "high": 1}, 7.0, None),
        ({"kind": "uniform"}, 7.0, None),
    ],
)
def test_the_winner_is_at_an_edge_of_its_range(make_search, point, space, value, side):
    trials = [point(0, 0.9) | {"params": {"x": value}}]
    found = search.edges(Search.model_validate(make_search(trials, space={"x": space})))
    assert [edge.side for edge in found] == ([side] if side else [])


def test_edges_of_a_front_are_those_of_what_is_confirmed(make_search, point):
    trials = two(point, (0.9, 10), (0.8, 5), (0.2, 1))
    for trial, dropout in zip(trials, (0.0, 0.3, 0.3), strict=True):
        trial["params"]["predictor.dropout"] = dropout
    found = make_search(trials, ["success_rate", "parameters"], confirmed={"trial 1": 1, "trial 2": 2})
    assert [edge[1:] for edge in search.edges(Search.model_validate(found))] == [(0.3, "upper")]


def test_progress_counts_steps_and_keeps_the_best(make_search):
    points = search.progress(Search.model_validate(make_search()))
    assert [point.steps for point in points] == [1000, 2000, 3000, 4000, 4300, 4600, 4900, 5200]
    assert [point.best for point in points] == [0.85, 0.85, 0.9, *[0.95] * 5]


def test_steps_that_the_summary_lacks_are_added_up(make_search):
    assert search.steps_spent(Search.model_validate(make_search(spent=None))) == (5200, 8000)


def test_names_are_as_short_as_tells_them_apart():
    names = ["encoder", "terms.sigreg.weight", "terms.inverse.weight", "a.x.size", "b.x.size"]
    assert list(search.short_names(names).values()) == ["encoder", "sigreg.weight", "inverse.weight", *names[3:]]


def test_the_csv_has_a_row_per_trial_with_numbers_as_numbers_and_text_as_text(make_search, point):
    trials = [point(0, 0.85), point(2, state="pruned"), point(1, 0.9, params={"encoder": "vit", "encoder.depth": 4})]
    for trial, mixed in zip(trials, (1, "1", None), strict=True):
        trial["params"]["mixed"] = mixed
    limits = [{"name": "planning_seconds", "most": 1.0}]
    table = search.table(Search.model_validate(make_search(trials, constraints=limits)))
    assert table["number"].to_list() == [0, 1, 2]
    assert table["state"].to_list() == ["complete", "complete", "pruned"]
    assert table["value.success_rate"].to_list() == [0.85, 0.9, None]
    assert table["constraint.planning_seconds"].null_count() == 3
    assert table["param.encoder"].to_list() == ["conv", "vit", "conv"]
    assert table["param.encoder.depth"].to_list() == [None, 4, None]
    assert table["param.mixed"].to_list() == ["1", "null", '"1"']
    assert table.columns[-6:] == ["step", "steps", "seconds", "trial", "note", "error"]
    back = pl.read_csv(io.BytesIO(table.write_csv().encode()))
    assert back["param.terms.sigreg.weight"].to_list() == table["param.terms.sigreg.weight"].to_list()


def test_the_order_of_trials_does_not_matter(make_search):
    first = make_search()
    shuffled = [first["trials"][i] for i in np.random.default_rng(0).permutation(9)]
    one, other = (Search.model_validate(first | {"trials": trials}) for trials in (first["trials"], shuffled))
    assert one == other
    assert search.table(one).write_csv() == search.table(other).write_csv()
