"""MLflow holds the record of a study, each thing once, however often and in however many pieces it is written."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import records as frames
from analysis.mlflow_records import read_mlflow
from study import mlflow_runs, report, tracking
from study import plan as plans
from trainables import pipeline
from trainables.monitors import Watch
from trainables.paths import flatten
from trainables.store import Store, TakenOverError

POINTS = 51  # every one of the first fifty of 60 steps, and the last


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An empty database, whose making takes longer than everything else."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow_runs.client(f"sqlite:///{file}")
    return file


@pytest.fixture
def uri(empty, tmp_path):
    shutil.copy(empty, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture(scope="module")
def complete(small, done):
    """What a driver does: hear of `trials` while they run, then complete the record. Returns the warnings."""
    folder = report.write(small(), done, report.records(small(), done))
    return lambda study, store, uri, trials=(): _complete(study, store, uri, trials, folder)


def _complete(study, store, uri, trials, folder):
    warnings = []
    tracker = tracking.Tracker(study, store, uri, warnings.append)
    for trial in trials:
        tracker.started(trial)
        for piece in pieces(trial, store):
            tracker.reported(trial, {"points": piece})
        tracker.finished(trial, pipeline.record_part(trial.config, store))
    records = report.records(study, store)
    tracker.complete(list(zip(study.trials, records, strict=True)), folder)
    return warnings


def pieces(trial, store):
    """The loss curve as it is reported, a few points at a time, without its end."""
    history = pipeline.history(trial.config, store)
    points = [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)][:45]
    return [points[start : start + 10] for start in range(0, 45, 10)]


def runs(uri, study):
    """(parent, its children by arm and seed)"""
    client = mlflow_runs.client(uri)
    experiment = client.get_experiment_by_name(study.name)
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.study = '{study.key}'")
    found = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    children = {(run.data.tags["arm"], int(run.data.tags["seed"])): run for run in found}
    assert len(children) == len(found)
    return parent, children


def curve(uri, run, name="train/loss"):
    return [(point.step, point.value) for point in mlflow_runs.client(uri).get_metric_history(run.info.run_id, name)]


def artifacts(uri, run, folder=None):
    return {found.path for found in mlflow_runs.client(uri).list_artifacts(run.info.run_id, folder)}


def test_a_study_has_one_parent_run_and_one_child_per_trial_with_all_there_is(complete, small, done, uri):
    study = small()
    assert complete(study, done, uri) == []
    parent, children = runs(uri, study)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["question"] == study.sweep.question
    assert {"report/table.csv", "report/figure.png"} <= artifacts(uri, parent, "report")
    assert set(children) == {(trial.arm, trial.seed) for trial in study.trials}
    for trial in study.trials:
        run, record = children[trial.arm, trial.seed], pipeline.record_part(trial.config, done)
        assert run.info.status == "FINISHED"
        settings = flatten(trial.config)
        assert set(run.data.params) == set(settings)
        assert run.data.params["optim.lr"] == json.dumps(settings["optim.lr"])
        assert run.data.metrics["measure/success_rate"] == record["measures"]["success_rate"]
        assert run.data.metrics["seconds/train"] == record["seconds"]["train"]
        assert {"trial": record["trial"], "commit": record["commit"], "status": record["status"]}.items() <= (
            run.data.tags.items()
        )
        assert run.data.tags["version.torch"] == record["versions"]["torch"]
        history = pipeline.history(trial.config, done)
        assert curve(uri, run) == list(zip(history["step"], history["loss"], strict=True))
        assert len(history["step"]) == POINTS
        assert artifacts(uri, run) == {"record.json"}


def test_what_was_reported_live_is_not_logged_again_and_the_rest_is_filled_in(complete, small, done, uri):
    study = small()
    for _ in range(2):
        assert complete(study, done, uri, study.trials[:1]) == []
    _, children = runs(uri, study)
    for run in children.values():
        assert [step for step, _ in curve(uri, run)] == [*range(1, 51), 60]
        assert len(curve(uri, run, "measure/success_rate")) == 1


def test_mlflow_and_the_store_give_the_same_records(complete, small, done, uri):
    study = small()
    complete(study, done, uri, study.trials[:2])
    from_store = frames.frame(report.records(study, done))
    assert frames.frame(read_mlflow(uri, study.key)).select(from_store.columns).equals(from_store)


def test_a_run_says_whether_it_is_of_a_search(small, done, uri):
    study = small()
    tracker = tracking.Tracker(study, done, uri, pytest.fail)
    tracker.started(replace(study.trials[0], watch=Watch((10,), ("probe_r2",))))
    tracker.started(study.trials[1])
    tracker.stop()
    _, children = runs(uri, study)
    assert {run.data.tags["arm"]: run.data.tags.get("phase") for run in children.values()} == {
        study.trials[0].arm: "search",
        study.trials[1].arm: None,
    }


def test_a_recorded_training_that_informs_a_search_is_none_of_its_arms(small, done, uri):
    study = small(seeds=1)
    known = replace(study.trials[0], arm=f"{plans.KNOWN}0123")
    tracker = tracking.Tracker(study, done, uri, pytest.fail)
    tracker.started(known)
    tracker.finished(known, pipeline.record_part(known.config, done))
    tracker._end()
    assert [run.data.tags["phase"] for run in runs(uri, study)[1].values()] == ["search"]
    assert read_mlflow(uri, study.key) == []


def test_nothing_is_written_once_the_study_is_another_drivers(complete, small, done, uri):
    study = small(seeds=1)
    complete(study, done, uri)
    before = {run.info.run_id: run.data.to_dictionary() for run in runs(uri, study)[1].values()}

    def check():
        raise TakenOverError("it is another's")

    late = tracking.Tracker(study, done, uri, pytest.fail, check=check)
    late.started(replace(study.trials[0], arm="another"))
    late.finished(study.trials[0], {**pipeline.record_part(study.trials[0].config, done), "status": "crashed"})
    late._end()
    assert {run.info.run_id: run.data.to_dictionary() for run in runs(uri, study)[1].values()} == before


def test_more_seeds_extend_the_study(complete, small, done, uri):
    complete(small(seeds=2), done, uri)
    complete(small(seeds=3), done, uri)
    assert len(runs(uri, small(seeds=3))[1]) == 6


def test_a_trial_that_crashed_is_marked_and_its_run_taken_up_when_it_succeeds(complete, small, done, uri, tmp_path):
    study, store = small(), Store(tmp_path / "store")
    for trial in study.trials:
        pipeline.fail(trial.config, store, "Traceback\nValueError: no luck")
    assert complete(study, store, uri) == []
    parent, children = runs(uri, study)
    assert {run.info.status for run in (parent, *children.values())} == {"FAILED"}
    complete(study, done, uri)
    parent, again = runs(uri, study)
    assert {run.info.status for run in (parent, *again.values())} == {"FINISHED"}
    assert {run.info.run_id for run in again.values()} == {run.info.run_id for run in children.values()}


def test_a_study_that_is_stopped_leaves_no_run_that_seems_to_run(small, done, uri):
    study = small()
    tracker = tracking.Tracker(study, done, uri, lambda text: pytest.fail(text))
    tracker.started(study.trials[0])
    tracker.stop()
    parent, children = runs(uri, study)
    assert {run.info.status for run in (parent, *children.values())} == {"KILLED"}


AWAY = ["http://127.0.0.1:9", "sqlite:////proc/none/mlflow.db", "postgresql://127.0.0.1:9/x"]


@pytest.mark.parametrize("away", AWAY)
def test_a_server_that_is_away_costs_one_warning_and_the_record_is_filled_in_later(complete, small, done, uri, away):
    study = small()
    (warning,) = complete(study, done, away, study.trials)
    assert away in warning
    assert "the study goes on" in warning
    assert complete(study, done, uri) == []
    assert len(runs(uri, study)[1]) == 4


def test_a_database_that_is_none_costs_one_warning_and_nothing_of_the_result(invoke, command, done, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"garbage " * 2000)
    result = invoke(*command(done.root, "--seeds", "2", "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"))
    assert result.exit_code == 0
    said = " ".join(result.stderr.split())
    assert said.count("cannot be written") == 1
    assert "DatabaseError" in said
    assert "Traceback" not in said
    assert "| none" in result.stdout


def test_passwords_are_not_shown(complete, small, done):
    (warning,) = complete(small(), done, "postgresql://me:secret@127.0.0.1:9/x?password=hidden")
    assert "postgresql://me:***@127.0.0.1:9/x?password=***" in warning
    assert "secret" not in warning
    assert "hidden" not in warning


def test_drivers_that_begin_at_once_look_and_create_one_after_the_other(small, done, monkeypatch):
    study, warnings, inside = small(), [], []

    class Runs:
        artifacts_elsewhere = None

        def __init__(self, *arguments):
            assert not inside
            inside.append(self)
            time.sleep(0.2)
            inside.remove(self)

        def stop(self):
            pass

    monkeypatch.setattr(tracking, "Runs", Runs)
    trackers = [tracking.Tracker(study, Store(done.root), "sqlite:///x", warnings.append) for _ in range(3)]
    for tracker in trackers:
        tracker._put(Runs.stop)
    for tracker in trackers:
        tracker.stop()
    assert warnings == []


def test_the_command_goes_on_without_its_server(invoke, command, done):
    result = invoke(*command(done.root, "--seeds", "2", "--tracking-uri", "http://127.0.0.1:9"))
    assert result.exit_code == 0
    assert " ".join(result.stderr.split()).count("cannot be written") == 1
    assert "| none" in result.stdout


def test_two_parents_of_one_sweep_do_not_mix(complete, small, done, uri, tmp_path):
    one, other = small(), small(**{"protocol.tasks": 9})
    for trial in other.trials:
        pipeline.run_trial(trial.config, done)
    complete(one, done, uri)
    complete(other, done, uri)
    assert len(runs(uri, one)[1]) == len(runs(uri, other)[1]) == 4
    first, second = (read_mlflow(uri, study.key) for study in (one, other))
    assert {len(record["tasks"]) for record in first} == {10}
    assert {len(record["tasks"]) for record in second} == {9}


def test_nothing_is_written_where_the_command_was_run(complete, small, done, uri, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    complete(small(), done, uri)
    assert list(Path.cwd().iterdir()) == []
