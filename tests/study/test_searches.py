"""Several searches with one budget: they take turns, spend alike wherever they are stopped, and end as alone."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace

import pytest

from search_spaces._search import search, search_each
from search_spaces._space import log_uniform
from search_spaces._sweep import Sweep, methods
from study import plan as plans
from study import status
from study.candidates import Candidates
from study.claim import Note
from study.drive import Work
from study.search import Searching
from study.searches import Searches
from tests._small import SMALLEST
from tests.study.test_search import run
from trainables import pipeline
from trainables.store import Store

SPACES = {
    "smwm": {"terms.inverse.weight": log_uniform(1.0, 100.0)},  # where the default is not
    "lewm": {"terms.sigreg.weight": log_uniform(1e-3, 1.0), "optim.lr": log_uniform(1e-4, 1e-2)},
}
BUDGET, SEEDS = 3, (0, 1)


def declared(**options):
    return Sweep(
        question="Which gains more by tuning?",
        base="smwm",
        worlds={"local": "two_room"},
        arms=methods(*SPACES),
        baseline="smwm",
        search=search_each(SPACES, ["probe_r2"], BUDGET, **options),
    )


def study_of(sweep, name="both"):
    return plans.Study(name=name, sweep=sweep, world="two_room", scale="local", sets=SMALLEST, seeds=SEEDS)


def points(source):
    """What each search asked for and was told, times aside."""
    rows = {arm: each["trials"] for arm, each in source.summary()["each"].items()}
    return {
        arm: [{key: x for key, x in row.items() if key != "seconds"} for row in found] for arm, found in rows.items()
    }


@pytest.fixture(scope="module", autouse=True)
def never_collapsed():
    """So few steps leave a prediction that is worse than the mean, which counts as collapsed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "COLLAPSED_ERROR", 1e9)
        patch.setattr(pipeline, "COLLAPSED_VARIANCE", -1.0)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory, never_collapsed):
    """(study, store, source, trials) of searches that were run to their end."""
    store, study = Store(tmp_path_factory.mktemp("searches")), study_of(declared())
    source = Searches(study, store)
    return study, store, source, run(source, store)[0]


def test_they_take_turns_and_then_every_arm_and_what_was_found_is_confirmed(finished):
    _, _, source, trials = finished
    assert [trial.arm for trial in trials[:6]] == [f"{arm} trial {number}" for number in range(3) for arm in SPACES]
    for trial in trials[:6]:
        assert trial.config.method == trial.arm.split()[0]
        assert (trial.config.protocol.split, trial.config.seed) == ("validation", 1000)
    arms = [arm.name for arm in source.confirmed.sweep.arms]
    assert arms == ["smwm", "smwm tuned", "lewm", "lewm tuned"]
    assert Counter(trial.place for trial in trials[6:]) == Counter((arm, seed) for arm in arms for seed in SEEDS)
    assert {trial.config.protocol.split for trial in trials[6:]} == {"test"}
    assert source.finished and source.next() is None


@pytest.mark.parametrize("arm", SPACES)
def test_each_search_is_what_it_would_be_alone(finished, arm, tmp_path):
    alone = Sweep(
        question="?", base=arm, worlds={"local": "two_room"}, search=search(SPACES[arm], ["probe_r2"], BUDGET)
    )
    store = Store(tmp_path)
    source = Searching(study_of(alone, "alone"), store)
    run(source, store)
    rows = [{key: x for key, x in row.items() if key != "seconds"} for row in source.summary()["trials"]]
    assert rows == points(finished[2])[arm]
    (mine,) = [arm.changes for arm in source.confirmed.sweep.arms if arm.name == "tuned"]
    (ours,) = [each.changes for each in finished[2].confirmed.sweep.arms if each.name == f"{arm} tuned"]
    assert ours == {"method": arm, **mine}


@pytest.mark.parametrize("killed_in", [2, 5])
def test_stopped_and_gone_on_with_they_have_spent_alike_and_end_as_if_nothing_had_happened(
    finished, killed_in, tmp_path
):
    study, _, undisturbed, trials = finished
    store = Store(tmp_path)
    source = Searches(study, store)
    started = run(source, store, killed_in - 1)[0]
    lost = source.next()  # and the driver is gone
    source = Searches(study, store)
    assert [len(rows) for rows in points(source).values()] == [(killed_in + 1) // 2, killed_in // 2]
    started += run(source, store)[0]
    assert lost.place in {trial.place for trial in started[killed_in - 1 :]}
    assert Counter(trial.place for trial in started) == Counter(trial.place for trial in trials)
    assert points(source) == points(undisturbed)


def test_with_several_at_a_time_each_gets_its_exact_budget(finished, tmp_path):
    source = Searches(finished[0], Store(tmp_path))
    under_way = [source.next() for _ in range(2 * BUDGET)]
    assert Counter(trial.arm.split()[0] for trial in under_way) == {"smwm": BUDGET, "lewm": BUDGET}
    assert source.next() is None and not source.finished


def test_a_trial_that_crashes_comes_again_in_its_own_search(finished, tmp_path):
    source = Searches(finished[0], Store(tmp_path))
    first, second = source.next(), source.next()
    assert source.crashed(second, "no luck", died=True) is None
    assert [source.next().arm for _ in range(2)] == ["smwm trial 1", "lewm trial 0"]
    assert source.crashed(first, "no luck", died=True) is None
    assert "smwm trial 0" in {source.next().arm for _ in range(2)}


def test_a_larger_budget_goes_on_with_every_search(finished, tmp_path):
    study, store, source, _ = finished
    more = Searches(study, Store(shutil.copytree(store.root, tmp_path / "copy")), BUDGET + 1)
    assert [trial.arm for trial in (more.next(), more.next())] == [f"{arm} trial 3" for arm in SPACES]
    assert more.journal == source.journal and len(set(more.journal.values())) == 2


def test_the_plan_counts_all_of_them_before_and_after(finished):
    study, store, _, _ = finished
    before = Work(study, None).plan.planned
    assert len(before) == 2 * (BUDGET + 2 * len(SEEDS))
    assert {planned.trial.arm for planned in before if not planned.known} == {
        name for arm in SPACES for name in (f"{arm} trial 0", f"{arm} trial 1", f"{arm} trial 2", f"{arm} tuned")
    }
    after = Work(study, store).plan
    assert len(after.planned) == len(before) and after.open == []


def test_the_report_shows_every_arm_as_declared_and_tuned_and_the_best_of_so_many(finished):
    study, store, source, _ = finished
    folder, pairs = Work(study, store).report(lambda text: None)
    assert len(pairs) == 2 * (BUDGET + 2 * len(SEEDS))
    text = (folder / "table.md").read_text()
    for arm in ("smwm (baseline)", "smwm tuned", "lewm", "lewm tuned"):
        assert f"\n| {arm} " in text
    for row, each in zip(("smwm", "lewm"), source.summary()["each"].values(), strict=True):
        values = [trial["values"]["probe_r2"] for trial in each["trials"]]
        best = [f"{max(values[:n]):.4g}" for n in (1, 2, 3)]
        (line,) = [line for line in text.split("## The searches")[1].splitlines() if line.startswith(f"| {row} | ")][:1]
        assert [cell.strip() for cell in line.strip("|").split("|")][-3:] == best
    names = {file.name for file in folder.iterdir()}
    assert {"search.png", "search-1.png", "search-2.svg", "search.csv"} <= names


def test_how_they_fare_is_told_of_each(finished, tmp_path):
    study, store = finished[0], Store(tmp_path)
    source = Searches(study, store)
    run(source, store, 3)
    note = Note(study, store, budget=source.budget, journal=source.journal)
    note.begin([], Work(study, store).found)
    lines = status.one(study, store).splitlines()
    assert lines[2] == "trials: 3 done, 0 running, 0 failed, 11 to run"
    told = [line.split("; best")[0] for line in lines if line.startswith("search")]
    assert told == ["search of smwm: 2 asked, 2 told (2 complete)", "search of lewm: 1 asked, 1 told (1 complete)"]
    run(source, store, 3)
    note.begin([], Work(study, store).found)
    lines = status.one(study, store).splitlines()
    assert lines[2] == "trials: 6 done, 0 running, 0 failed, 8 to run"


def test_another_space_of_one_arm_is_another_search_of_that_arm_alone(finished, tmp_path):
    study, _, source, _ = finished
    spaces = {**SPACES, "lewm": {"terms.sigreg.weight": log_uniform(1e-3, 1.0)}}
    other = replace(study, sweep=replace(study.sweep, search=search_each(spaces, ["probe_r2"], BUDGET)))
    journal = Searches(other, Store(tmp_path)).journal
    assert {arm: journal[arm] == source.journal[arm] for arm in SPACES} == {"smwm": True, "lewm": False}


def test_nothing_is_spent_on_an_arm_that_this_machine_lacks_something_to_run(finished, tmp_path):
    study, store = replace(finished[0], lacks={"lewm": "no weights: none here"}), Store(tmp_path)
    source = Searches(study, store)
    assert {trial.arm.split()[0] for trial in (source.next(), source.next(), source.next())} == {"smwm"}
    assert [arm.name for arm in source.confirmed.sweep.arms] == ["smwm", "lewm"]
    plan = Searches(study, None).plan()
    assert (plan.count("not run"), plan.count("to run"), plan.lacks) == (2, 7, {"lewm": "no weights: none here"})
    assert list(source.summary()["each"]) == ["smwm"]
    assert "trials: 0 done, 0 running, 0 failed, 7 to run, 2 not run" in status.one(study, store).splitlines()


def test_where_all_are_lacking_results_of_the_arms_as_declared_are_no_reason_to_go_on(finished):
    study, store = finished[:2]
    assert plans.refusal(study, store) is None
    why = plans.refusal(replace(study, lacks=dict.fromkeys(SPACES, "no weights: none here")), store)
    assert why == "this machine can run no trial of both--two_room--local--" + why.split("--")[-1]
    assert why.endswith(": no weights: none here")


@pytest.mark.parametrize("scale", ["local", "gpu", "paper"])
@pytest.mark.parametrize("name", ["equal_budget", "tune_pldm"])
def test_what_the_methods_are_without_tuning_is_tried_at_every_scale(name, scale):
    study = plans.make_study(name, scale=scale, sets={})
    for sweep in study.sweep.strata:
        assert Candidates(replace(study, sweep=sweep), None).default
