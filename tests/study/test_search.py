"""A search tunes on validation tasks and tuning seeds, confirms on others, and goes on from wherever it was stopped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search_spaces._search import asha, at_most, direction, search
from search_spaces._space import choice, log_uniform, uniform
from search_spaces._sweep import Sweep
from study import plan as plans
from study import report
from study.drive import Work
from study.explore import Exploration
from study.search import Searching
from study.search_summary import importance
from study.sources import TRIES
from tests._small import SMALLEST
from trainables import ids, pipeline
from trainables.settings import ConfigError
from trainables.store import Store, StoreError

SETS = SMALLEST
SPACE = {"predictor.size": choice("tiny", "small"), "terms.sigreg.weight": log_uniform(1e-3, 1.0)}


def declared(budget=4, objectives=("probe_r2",), space=SPACE, **options):
    return Sweep(
        question="What does tuning bring?",
        base="lewm",
        worlds={"local": "two_room"},
        search=search(space, objectives, budget, **options),
    )


def study_of(sweep, seeds=(0, 1)):
    return plans.Study(name="tuned", sweep=sweep, world="two_room", scale="local", sets=SETS, seeds=tuple(seeds))


class List(list):
    """A journal that nobody reads."""

    def lines(self):
        return []


class StopTrainingError(Exception):
    """The source wants no more of this trial."""


def perform(source, store, trial):
    """What the executor does with a trial, in this process and without Ray; the record the source makes of it."""

    def tell(event):
        if "monitor" in event and source.judge(trial, {"looks": [{"step": event["step"], "values": event["monitor"]}]}):
            raise StopTrainingError

    try:
        for seed in (trial.config.seed, *trial.more_seeds):
            config = trial.config.model_copy(update={"seed": seed})
            pipeline.run_trial(config, store, progress=tell, watch=trial.watch if seed == trial.config.seed else None)
    except StopTrainingError:
        pass
    return source.ended(trial)


def run(source, store, at_most=1000):
    """Run up to `at_most` trials one after the other; the trials that were started, and their records."""
    started, records = [], []
    while len(started) < at_most and (trial := source.next()):
        started.append(trial)
        records.append(perform(source, store, trial))
    return started, records


@pytest.fixture(scope="module")
def never_collapsed():
    """So few steps leave a prediction that is worse than the mean, which counts as collapsed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "COLLAPSED_ERROR", 1e9)
        patch.setattr(pipeline, "COLLAPSED_VARIANCE", -1.0)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory, never_collapsed):
    """(study, store, source, trials, records) of a search that was run to its end."""
    store, study = Store(tmp_path_factory.mktemp("search")), study_of(declared())
    source = Searching(study, store)
    return study, store, source, *run(source, store)


def test_candidates_come_first_then_the_default_and_the_winner(finished):
    study, _, source, trials, records = finished
    assert [trial.arm for trial in trials[:4]] == ["trial 0", "trial 1", "trial 2", "trial 3"]
    assert sorted(trial.place for trial in trials[4:]) == [
        (arm, seed) for arm in ("default", "tuned") for seed in study.seeds
    ]
    assert source.finished
    assert source.next() is None
    assert {record["status"] for record in records} == {"ok"}


def test_tuning_and_confirming_share_neither_seeds_nor_tasks(finished):
    _, _, _, trials, _ = finished
    for trial in trials:
        tuning = trial.watch is not None
        assert (trial.config.seed == 1000) == tuning
        assert trial.config.protocol.split == ("validation" if tuning else "test")


def test_no_measure_of_a_candidate_is_of_test_episodes(finished):
    _, _, source, _, _ = finished
    config = source.candidates.base
    test = config.model_copy(update={"protocol": config.protocol.model_copy(update={"split": "test"})})
    for name in config.measures:
        assert ids.measure_key(config, name) != ids.measure_key(test, name)


def test_the_winner_is_the_best_candidate_and_its_arm_has_its_settings(finished):
    _, _, source, trials, records = finished
    values = {record["search"]["number"]: record["measures"]["probe_r2"] for record in records[:4]}
    best = max(values, key=lambda number: (values[number], -number))
    (tuned,) = {tuple(sorted(trial.changes.items())) for trial in trials if trial.arm == "tuned"}
    assert dict(tuned) == source.exploration.points[best].params
    assert source.summary()["best"] == best
    assert source.summary()["confirmed"] == {"tuned": best}


def test_what_was_spent_is_what_was_trained(finished):
    summary = finished[2].summary()
    assert summary["spent"]["trials"] == 4
    assert summary["spent"]["steps"] == summary["spent"]["full_steps"] == 4 * SETS["optim.steps"]


def test_the_same_command_again_has_nothing_to_do_and_the_same_table(finished):
    study, store, source, _, _ = finished
    work = Work(study, store)
    assert work.plan.open == []
    assert work.searching.summary() == source.summary()
    folder, pairs = work.report(lambda text: None)
    assert len(pairs) == 8
    text = (folder / "table.md").read_text()
    for part in ("tuned", "default", "validation", "4 of 4 trials"):
        assert part in text


@pytest.mark.parametrize("stops", [(0,), (1, 1), (3, 2), (5, 1)])
def test_a_search_stopped_between_trials_ends_like_one_that_was_not(finished, stops, tmp_path):
    study, _, source, trials, _ = finished
    store, started = Store(tmp_path), []
    for count in (*stops, 1000):
        started += run(Searching(study, store), store, count)[0]
    assert [trial.place for trial in started] == [trial.place for trial in trials]
    again = Searching(study, store).summary()
    assert _untimed(again) == _untimed(source.summary())


def test_a_trial_that_was_under_way_is_taken_up_again_with_its_settings(finished, tmp_path):
    store = Store(tmp_path)
    lost = Searching(finished[0], store).next()
    again = Searching(finished[0], store)
    assert again.next() == lost
    assert len(again.exploration.points) == 1


def test_a_trial_that_keeps_crashing_fails_for_good_and_the_search_goes_on(finished, tmp_path):
    source = Searching(finished[0], Store(tmp_path))
    trial = source.next()
    assert source.crashed(trial, "no luck", died=False) is None
    assert source.next() == trial
    source = Searching(finished[0], Store(tmp_path))
    trial = source.next()
    assert source.crashed(trial, "no luck", died=True) is None
    record = source.crashed(source.next(), "no luck again", died=False)
    assert (record["status"], record["error"]) == ("crashed", "no luck again")
    assert source.next().arm == "trial 1"
    assert source.summary()["trials"][0]["state"] == "failed"


def test_a_machine_on_which_everything_fails_does_not_eat_the_budget(finished, tmp_path):
    source = Searching(finished[0], Store(tmp_path))
    for _ in range(3 * TRIES - 1):
        source.crashed(source.next(), "Traceback\nValueError: no luck", died=False)
    last = source.next()
    with pytest.raises(StoreError, match=r"every trial of the search fails.*no luck"):
        source.crashed(last, "Traceback\nValueError: no luck", died=False)
    states = [row["state"] for row in Searching(finished[0], Store(tmp_path)).summary()["trials"]]
    assert states == ["failed", "failed", "open"]


def test_pruned_trainings_stop_where_they_were_looked_at_and_are_never_stored(tmp_path, never_collapsed):
    sweep = declared(6, prune=asha("probe_r2", first=0.25, factor=2), sampler="random")
    store, study = Store(tmp_path), study_of(sweep, seeds=(0,))
    source = Searching(study, store)
    _, records = run(source, store)
    pruned = [record for record in records if record["status"] == "pruned"]
    assert pruned
    for record in pruned:
        assert record["search"]["step"] in sweep.search.looks(SETS["optim.steps"])
        assert store.get(f"train/{record['trial']}") is None
        assert record["search"]["looks"]
    spent = source.summary()["spent"]
    assert spent["steps"] < spent["full_steps"]


def test_a_candidate_trains_with_every_tuning_seed_and_is_judged_by_the_mean(tmp_path, never_collapsed):
    sweep = declared(1, tuning_seeds=(1000, 1001))
    store, source = Store(tmp_path), Searching(study_of(sweep), Store(tmp_path))
    trial = source.next()
    perform(source, store, trial)
    values = [
        pipeline.record_part(trial.config.model_copy(update={"seed": seed}), store)["measures"]["probe_r2"]
        for seed in (1000, 1001)
    ]
    assert source.exploration.points[0].values["probe_r2"] == pytest.approx(sum(values) / 2)
    assert values[0] != values[1]


def test_settings_that_do_not_go_together_fail_without_being_started(tmp_path):
    """Three frames of ten steps each reach further back than a task does; either alone is sound."""
    space = {"history": choice(1, 3), "frameskip": choice(5, 10)}
    source = Searching(study_of(declared(12, space=space, sampler="random")), Store(tmp_path))
    while not source.exploration.points or source.exploration.more(12):
        point = source.exploration.points[int(source.next().arm.removeprefix("trial "))]
        source.exploration.tell(point.number, "complete", {"probe_r2": 0.5}, {})
    failed = [point for point in source.exploration.points if point.state == "failed"]
    assert failed
    for point in failed:
        assert point.params == {"history": 3, "frameskip": 10}
        assert point.about["error"].startswith("history")
    assert len(source.exploration.points) == 12


def test_a_choice_that_the_rest_of_the_config_rules_out_is_a_mistake_in_the_declaration():
    with pytest.raises(ConfigError, match=r"encoder\.patch=7 does not divide data\.image_size=64"):
        declared(2, space={"encoder": choice("conv", "vit", then={"vit": {"encoder.patch": choice(8, 7)}})})


def test_recorded_trials_inform_the_sampler_and_are_never_chosen(finished, tmp_path, never_collapsed):
    study, store, _, _, _ = finished
    warm = replace(study, name="warm", sweep=declared(2, warm_start=True))
    source = Searching(warm, store)
    trials, _ = run(source, store, 12)
    known = [trial for trial in trials if trial.arm.startswith("known ")]
    assert len(known) == 2  # as many as the budget, of the eight that are there
    assert {trial.config.protocol.split for trial in known} == {"validation"}
    assert trials[: len(known)] == known
    summary = source.summary()
    assert summary["known"] == 2
    assert summary["known_confirming"] == sum(trial.seed in warm.seeds for trial in known)
    assert summary["spent"]["trials"] == 2
    assert {row["number"] for row in summary["trials"]} >= set(summary["confirmed"].values())
    again = Searching(warm, store)
    assert again.exploration.known == source.exploration.known
    assert again.next() is None


def test_two_objectives_confirm_points_of_the_front_within_the_limit(tmp_path, never_collapsed):
    sweep = declared(5, objectives=("probe_r2", "parameters"), limits=[at_most("parameters", 1e9)], confirm=2)
    store, source = Store(tmp_path), Searching(study_of(sweep, seeds=(0,)), Store(tmp_path))
    run(source, store)
    summary = source.summary()
    assert set(summary["confirmed"].values()) <= set(summary["front"])
    assert 1 <= len(summary["confirmed"]) <= 2
    assert summary["best"] is None


def test_a_limit_that_nothing_keeps_leaves_the_default_alone(tmp_path, never_collapsed):
    sweep = declared(2, limits=[at_most("parameters", 1.0)])
    store, source = Store(tmp_path), Searching(study_of(sweep, seeds=(0,)), Store(tmp_path))
    trials, _ = run(source, store)
    assert [trial.arm for trial in trials] == ["trial 0", "trial 1", "default"]
    assert source.summary()["confirmed"] == {}


def test_settings_that_were_tried_twice_are_one_arm(tmp_path, never_collapsed):
    """Two sizes are all there is, and five trials try them."""
    sweep = declared(5, space={"predictor.size": choice("tiny", "small")}, sampler="random", confirm=3)
    store = Store(tmp_path)
    source = Searching(study_of(sweep, seeds=(0,)), store)
    trials, _ = run(source, store)
    assert [trial.arm for trial in trials][:5] == [f"trial {number}" for number in range(5)]
    assert len([trial for trial in trials if trial.watch is None]) == 2


@pytest.mark.parametrize("objective", ["success_rate", "final_distance"])
def test_importance_is_of_what_makes_trials_good_whichever_way_is_better(objective):
    """Here `a` alone decides which trials are good, and `b` alone which are bad."""
    exploration = Exploration(
        search({"a": uniform(0, 1), "b": uniform(0, 1)}, [objective], 60, sampler="random"), List(), steps=1
    )
    while point := exploration.ask(60):
        good, bad = point.params["a"] > 0.9, point.params["b"] > 0.9
        value = 1.0 if good else 0.0 if bad else 0.5
        exploration.tell(point.number, "complete", {objective: value if direction(objective) else 1 - value}, {})
    shares = importance(exploration)[objective]
    assert shares["a"] > 0.9


def test_importance_is_of_the_searchs_own_trials():
    """Recorded ones, in which `b` decides, are more than those of the search, in which `a` does."""
    exploration = Exploration(
        search({"a": uniform(0, 1), "b": uniform(0, 1)}, ["success_rate"], 20, sampler="random"), List(), steps=1
    )
    for number in range(100):
        params = {"a": number * 0.37 % 1, "b": number / 100}
        exploration.know(str(number), params, {"success_rate": params["b"]}, {})
    while point := exploration.ask(20):
        exploration.tell(point.number, "complete", {"success_rate": point.params["a"]}, {})
    assert importance(exploration)["success_rate"]["a"] > 0.8


def test_a_trial_counts_the_seconds_of_its_training_however_often_it_was_started(finished):
    _, _, source, _, _ = finished
    for point in source.exploration.points:
        (record,) = source.candidates.records(source.candidates.trial(point))
        assert point.about["seconds"] == record["seconds"]["train"] + record["seconds"]["measures"] > 0


def test_seeds_asked_for_cannot_be_those_that_were_tuned_on():
    with pytest.raises(ConfigError, match="1000 is a tuning seed"):
        plans.make_study("tune_lewm", sets={}, seeds=1001)


def test_a_training_too_short_to_be_looked_at_is_a_mistake():
    with pytest.raises(ConfigError, match="over before its first look"):
        plans.make_study("tune_lewm", sets={"optim.steps": 1})


def test_another_space_or_protocol_is_another_search_and_another_budget_is_not(tmp_path):
    keys = [
        Searching(replace(study_of(sweep), sets=sets), Store(tmp_path)).candidates.key
        for sweep, sets in (
            (declared(4), SETS),
            (declared(9), SETS),
            (declared(4, space={**SPACE, "optim.lr": log_uniform(1e-4, 1e-2)}), SETS),
            (declared(4), {**SETS, "protocol.tasks": 9}),
            (declared(4, seed=1), SETS),
        )
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_a_plan_counts_what_is_not_known_yet_and_writes_nothing(tmp_path):
    work = Work(study_of(declared()), None)
    assert len(work.plan.planned) == 4 + 2 * 2
    assert sum(not planned.known for planned in work.plan.planned) == 4 + 2
    assert list(tmp_path.iterdir()) == []


def test_a_report_before_the_search_is_over_says_so(tmp_path, never_collapsed):
    store, study = Store(tmp_path), study_of(declared(), seeds=(0,))
    run(Searching(study, store), store, 2)
    folder, _ = Work(study, store).report(lambda text: None)
    assert "2 of 4 trials" in (folder / "table.md").read_text()
    assert report.folder(study, store) == folder


def _untimed(summary):
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in summary["trials"]]
    return {**summary, "trials": rows, "spent": {**summary["spent"], "hours": None}}
