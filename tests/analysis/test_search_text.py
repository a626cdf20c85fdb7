"""The search in words: every state and failure shown, the winner's luck told, nothing claimed that is not there."""

import re

import numpy as np
import pytest

from analysis.search_records import STATES
from analysis.tables import latex, markdown


def part(study, records=()):
    return markdown(study, records).split("## The search")[1]


def cells(text, start):
    """Cells of the first table row whose first cell is `start`."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return next(row for row in rows if row[0] == start)


def test_a_study_of_declared_arms_says_nothing_of_a_search(make_study, mixed):
    assert "search" not in markdown(make_study(), mixed) + latex(make_study(), mixed)


def test_what_was_spent_is_told_by_state_and_against_full_trainings(searched, confirmations):
    text = part(searched(), confirmations)
    assert (
        "Spent: 8 of 8 trials (4 complete, 1 pruned, 1 collapsed, 1 diverged, 1 failed); 5,200 training steps" in text
    )
    assert "of the 8,000 that full trainings would have cost (65 %)." in text
    assert "Warm start: 1 trial known from other sweeps, not counted as spent." in text
    assert (
        "Looked for: highest success_rate over 4 settings, by tpe, seed 0. Pruning: asha on probe_r2 (factor 3)."
        in text
    )
    assert "Measured time (differs from run to run): 0.71 hours" in text


def test_when_pruning_begins_is_told(searched, make_search):
    rule = {"kind": "hyperband", "monitor": "effective_rank", "first": 0.25, "factor": None}
    text = part(searched(make_search(prune=rule)))
    assert "Pruning: hyperband on effective_rank (first look after 25 % of a training)." in text
    assert "No pruning." in part(searched(make_search(prune=None)))


def test_chosen_and_confirmed_stand_beside_each_other(searched, confirmations):
    text = part(searched(), confirmations)
    assert "Chosen on: validation tasks, tuning seed 1000. Confirmed on: test tasks, seeds 0, 1, 2" in text
    lines = [line for line in text.splitlines() if line.startswith("| success_rate (%) |")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[1:3] for row in rows] == [["default (trial 0)", "85.0"], ["tuned (trial 3)", "95.0"]]
    assert [row[3].split()[0] for row in rows] == ["84.0", "90.0"]
    assert [row[4] for row in rows] == ["-1.0", "-5.0"]
    assert (
        "The validation value of tuned was the best of 4: optimistic by selection (winner's curse). Confirmed,"
        " success_rate is 5.0 points worse (default, not chosen by its value: 1.0 points worse)."
    ) in text


def test_the_winners_settings_stand_beside_the_defaults_and_their_range(searched, confirmations, make_search, point):
    trials = [point(0, 0.8), point(1, 0.9, params={"encoder": "vit", "encoder.depth": 4})]
    text = part(searched(make_search(trials, confirmed={"tuned": 1})), confirmations)
    assert cells(text, "setting") == ["setting", "default (trial 0)", "tuned (trial 1)", "range"]
    assert cells(text, "encoder") == ["encoder", "conv", "vit", "conv, vit"]
    assert cells(text, "encoder.depth") == ["encoder.depth", "–", "4", "1 to 8, whole; if encoder = vit"]
    assert cells(text, "terms.sigreg.weight")[3] == "0.001 to 1, log"


def test_before_it_is_confirmed_the_winner_is_the_best_so_far(searched, make_search):
    text = part(searched(make_search()))
    assert "Not confirmed yet." in text
    assert cells(text, "setting")[2] == "best so far (trial 3)"
    assert (
        "The validation value of trial 3 was the best of 4: optimistic by selection (winner's curse), and not" in text
    )
    assert "Believe" not in text and "Confirmed on" not in text


def test_every_trial_that_came_to_nothing_is_shown_with_its_settings_and_last_words(searched, confirmations):
    text = part(searched(), confirmations).split("came to nothing")[1]
    assert cells(text, "5")[:4] == ["5", "collapsed", "300", "0.07"]
    assert cells(text, "6")[1] == "diverged"
    assert (cells(text, "7")[1], cells(text, "7")[-1]) == ("failed", "ValueError: out of memory")


def test_many_failures_are_counted_and_the_rest_are_in_the_csv(searched, make_search, point):
    trials = [point(i, state="failed") for i in range(30)]
    text = part(searched(make_search(trials)))
    assert "**Trials that came to nothing** (30)" in text
    assert "18 more are in search.csv." in text


def test_the_five_best_of_one_objective_are_shown(searched, confirmations, make_search, point):
    trials = [point(i, x) for i, x in enumerate((0.5, 0.1, 0.7, 0.9, 0.3, 0.8, 0.2))]
    text = part(searched(make_search(trials, confirmed={"tuned": 3})), confirmations)
    assert "**The 5 best of 7 trials** that are complete, on validation tasks" in text
    best = text.split("best of 7 trials**")[1].split("Importance")[0]
    assert re.findall(r"\n\| (\d+)", best) == ["3", "5", "2", "0", "4"]
    assert "| 3 (tuned) " in best and "| 0 (default) " in best


def test_a_front_shows_its_trials_and_by_which_the_default_is_beaten(searched, make_search, point):
    rows = ((0.7, 9), (0.9, 10), (0.8, 5), (0.6, 7))
    trials = [point(i, values={"success_rate": a, "parameters": b}) for i, (a, b) in enumerate(rows)]
    text = part(searched(make_search(trials, ["success_rate", "parameters"], best=2)))
    front = text.split("**Pareto front**")[1]
    assert "of 4 trials that are complete on validation tasks, 2 are beaten by no other one\n" in front
    assert cells(front, "1")[1:3] == ["90.0", "10"]
    assert cells(front, "2 (best)")[1:3] == ["80.0", "5"]
    assert cells(front, "0 (default), beaten by 2")[1:3] == ["70.0", "9"]
    assert "| 3 " not in front


def test_parameters_are_confirmed_by_the_models_that_were_trained(searched, make_search, confirmations):
    for record in confirmations:
        record["parameters"] = 400_000
    text = part(searched(make_search(objectives=["parameters"], confirmed={"tuned": 3})), confirmations)
    assert "| parameters | tuned (trial 3)   | 403,000 " in text
    assert "| 400,000 " in text and "| -3000 " in text


def test_seconds_of_training_are_confirmed_by_the_trainings(searched, make_search, point, confirmations):
    objective = {"name": "train_seconds", "unit": "s", "higher_is_better": False, "timed": True}
    trials = [point(0, values={"train_seconds": 90.0}), point(1, values={"train_seconds": 80.0})]
    search = make_search(trials, confirmed={"tuned": 1}) | {"objectives": [objective]}
    text = part(searched(search), confirmations)
    assert "| train_seconds (s) | tuned (trial 1)   | 80 " in text and "| 102.2 [" in text and "| +22.25 " in text


def test_the_default_that_no_trial_had_is_as_declared_or_as_it_was_confirmed(
    searched, make_search, point, confirmations
):
    search = make_search([point(1, 0.9), point(2, 0.8)], confirmed={"tuned": 1})
    declared = part(searched(search | {"default": {"encoder": "declared"}}), confirmations)
    assert cells(declared, "setting")[1:3] == ["default", "tuned (trial 1)"]
    assert cells(declared, "encoder")[1] == "declared"
    for record in confirmations:
        record["config"]["encoder"] = "seen"
    assert cells(part(searched(search), confirmations), "encoder")[1] == "seen"


def test_several_arms_that_were_found_each_have_their_columns_and_drop(searched, make_search, point, make_record):
    trials = [point(i, x) for i, x in enumerate((0.5, 0.9, 0.8))]
    study = searched(make_search(trials, confirmed={"trial 1": 1, "trial 2": 2}))
    study["arms"] = [{"name": name} for name in ("default", "trial 1", "trial 2")]
    records = [make_record(arm["name"], seed, 70) for arm in study["arms"] for seed in range(3)]
    text = part(study, records)
    assert cells(text, "setting")[1:4] == ["default (trial 0)", "trial 1", "trial 2"]
    assert "The validation value of trial 1 was the best of 3: optimistic by selection" in text
    assert "The validation value of trial 2 was chosen among 3: optimistic by selection" in text
    assert "| 1 (confirmed) " in text and "| 2 (confirmed) " in text
    assert warned(study, records) == ""


def test_failures_show_the_values_that_they_have(searched, make_search, point):
    trials = [point(0, 0.5), point(1, 0.03, "collapsed"), point(2, state="failed")]
    text = part(searched(make_search(trials))).split("came to nothing")[1]
    assert cells(text, "trial")[3] == "success_rate (%)"
    assert (cells(text, "1")[3], cells(text, "2")[3]) == ("3.0", "–")


def test_warm_starts_that_are_no_trials_are_counted(searched, make_search, point):
    text = part(searched(make_search([point(0, 0.5)], known=12)))
    assert "Warm start: 12 trials known from other sweeps, not counted as spent." in text
    shared = part(searched(make_search([point(0, 0.5)], known=12, known_confirming=3)))
    assert "12 trials known from other sweeps, not counted as spent; 3 of them have seeds that confirm here" in shared
    assert "Warm start" not in part(searched(make_search([point(0, 0.5)], known=0)))


def test_broken_constraints_are_named_with_their_values(searched, make_search, point):
    trials = [point(i, 0.5 + i / 10, constraints={"planning_seconds": 0.8 + i / 5}) for i in range(4)]
    limits = [{"name": "planning_seconds", "least": None, "most": 1.0}]
    text = part(searched(make_search(trials, constraints=limits)))
    assert "Constraint: planning_seconds at most 1: broken by 2 of 4 trials measured: 2 (1.2), 3 (1.4)." in text
    assert cells(text, "setting")[2] == "best so far (trial 1)"
    kept = part(searched(make_search(trials[:2], constraints=limits)))
    assert "planning_seconds at most 1: kept by all 2 trials measured." in kept
    assert "measured in no trial" in part(searched(make_search([point(0, 0.5)], constraints=limits)))
    odd = part(searched(make_search([point(0, 0.5, feasible=False)], constraints=limits)))
    assert "Infeasible, without a measured reason: trial 0." in odd
    assert "No trial is complete and within the constraints" in odd


def test_importance_needs_ten_trials_and_shares(searched, make_search, point):
    shares = {"success_rate": {"encoder": 0.7, "terms.sigreg.weight": 0.25, "not.searched": 0.05}}
    trials = [point(i, 0.5 + i / 100) for i in range(10)]
    text = part(searched(make_search(trials, importance=shares))).split(
        "**Importance** (PED-ANOVA, 10 complete trials)"
    )[1]
    assert cells(text, "encoder")[1] == "70 %"
    assert text.index("| encoder ") < text.index("| terms.sigreg.weight ")
    assert "not.searched" not in text
    few = part(searched(make_search(trials[:9], importance=shares)))
    assert "Importance of settings: not computed, 9 complete trials are fewer than 10." in few
    assert "PED-ANOVA" not in few
    assert "Importance of settings: not computed." in part(searched(make_search(trials)))


def warned(study, records=()):
    found = part(study, records).split("**Take note**")
    return found[1].split("\n\n")[1] if len(found) > 1 else ""


def test_a_sound_search_warns_of_nothing(searched, confirmations):
    assert warned(searched(), confirmations) == ""


def test_a_search_that_ended_within_its_budget_is_finished(searched, make_search, point, confirmations):
    trials = [point(0, 0.5), point(1, 0.6)]
    text = [warned(searched(make_search(trials, budget=14, searched=ended)), confirmations) for ended in (True, False)]
    assert ["not finished" in each for each in text] == [False, True]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": 10}, "not finished: 8 of 10 trials ended, the budget is not used up. What it found may change."),
        ({"budget": 6}, "Over budget: 8 trials ended, 6 were planned."),
        ({"tuning_seeds": [1, 1000]}, "Chosen and confirmed on the same seed 1: the confirmed values are optimistic"),
        ({"split": "test"}, "Chosen and confirmed on the same test tasks: the confirmed values are optimistic, too."),
        ({"best": 1}, "Left out of the best, beaten, not complete or outside a constraint: trial 1."),
        (
            {"confirmed": {"tuned": 5}},
            "tuned has the settings of trial 5, which is not among those that may be chosen.",
        ),
        (
            {"confirmed": {"tuned": 2}},
            "Trial 3 is the best by now, and no arm has its settings: it is not confirmed.",
        ),
    ],
)
def test_what_is_amiss_is_said(searched, confirmations, make_search, changes, said):
    search = make_search(confirmed={"tuned": 3}) | changes
    assert said in warned(searched(search), confirmations)


def test_trials_that_are_open_are_named(searched, make_search, point):
    trials = [point(0, 0.5), point(1, state="open"), point(2, state="open")]
    study = searched(make_search(trials))
    assert "1 of 3 trials ended, the budget is not used up, 2 still open: 1, 2. What" in warned(study)
    assert "Spent: 1 of 3 trials (1 complete)" in part(study)


def test_the_edge_of_a_range_is_told_with_the_range(searched, make_search, point):
    trials = [point(0, 0.5), point(1, 0.9, params={"terms.sigreg.weight": 0.98})]
    assert (
        "The chosen terms.sigreg.weight, 0.98, is at the upper end of its range (0.001 to 1): better ones may lie"
    ) in warned(searched(make_search(trials)))


def test_measured_times_that_decide_are_told(searched, make_search, point):
    assert "Decided by measured time" not in part(searched(make_search()))
    limits = [{"name": "planning_seconds", "most": 1.0}]
    for search in (make_search(constraints=limits), make_search(objectives=["success_rate", "planning_seconds"])):
        assert "Decided by measured time (planning_seconds), which differs from run to run" in warned(searched(search))


def test_a_default_that_nothing_beats_is_told(searched, make_search, point):
    text = part(searched(make_search([point(0, 0.9), point(1, 0.5)])))
    assert "No trial did better than default on validation tasks." in text
    assert "winner's curse" not in text


def test_one_trial_was_not_selected_so_its_value_is_no_luck(searched, make_search, point):
    text = part(searched(make_search([point(1, 0.9)], confirmed={"tuned": 1})))
    assert "winner's curse" not in text and "best of" not in text


@pytest.mark.parametrize("state", STATES[1:])
def test_a_search_of_which_nothing_came_is_told_as_such(searched, make_search, point, state):
    trials = [point(i, state=state) for i in range(3)]
    text = part(searched(make_search(trials)))
    assert "No trial is complete: there is nothing to choose from." in text
    assert not re.search("curse|PED-ANOVA|Pareto|best of [0-9]|best so far|Believe", text)
    assert (f"3 {state}" in text) == (state not in ("open", "known"))


def test_a_search_without_any_trial_has_its_section(searched, make_search):
    text = part(searched(make_search([], budget=5, spent=None)))
    assert "Spent: 0 of 5 trials." in text
    assert "there is nothing to choose from" in text


def test_the_published_table_says_how_its_arm_was_found_and_no_measured_time(searched, confirmations):
    text = latex(searched(), confirmations)
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption"))
    assert "tuned: found by tpe in 8 trials on validation tasks." in caption
    assert "% Spent: 8 of 8 trials" in text and "% The validation value of tuned was the best of 4" in text
    assert "hours" not in text


def test_the_order_of_trials_and_times_change_nothing_but_the_line_of_times(searched, confirmations, make_search):
    search = make_search(confirmed={"tuned": 3})
    again = search | {"trials": [search["trials"][i] for i in np.random.default_rng(0).permutation(9)]}
    assert markdown(searched(search), confirmations) == markdown(searched(again), confirmations)
    again["trials"] = [trial | {"seconds": 7e5} for trial in again["trials"]]
    again["spent"] = search["spent"] | {"hours": 99.0}
    lines = [part(searched(one), confirmations).splitlines() for one in (search, again)]
    assert [a for a, b in zip(*lines, strict=True) if a != b] == [
        "Measured time (differs from run to run): 0.71 hours, added up over trials."
    ]
    assert latex(searched(search), confirmations) == latex(searched(again), confirmations)
