"""The command line: what it shows, and what it says to bad input."""

from __future__ import annotations

import json
import shutil

import pytest

import search_spaces
from study import cluster
from trainables import pipeline
from trainables.paths import assign, base_config
from trainables.settings import ConfigError
from trainables.store import Store

SWEEP = ("--sweep", "predictor_size")
BAD = {
    "no sweep": ((), ["sweep: give --sweep NAME", "predictor_size"]),
    "unknown sweep": (("--sweep", "predictor_sise"), ["sweep: 'predictor_sise'", "did you mean 'predictor_size'"]),
    "unknown world": ((*SWEEP, "--world", "two_rom"), ["world 'two_rom'", "did you mean 'two_room'"]),
    "unknown scale": ((*SWEEP, "--scale", "locl"), ["scale: 'locl'", "did you mean 'local'"]),
    "unknown path": ((*SWEEP, "--set", "optim.stepz=3"), ["optim.stepz", "did you mean 'steps'"]),
    "wrong type": ((*SWEEP, "--set", "optim.steps=many"), ["optim.steps: 'many'", "valid integer"]),
    "out of range": ((*SWEEP, "--set", "optim.lr=5.0"), ["optim.lr: 5.0", "less than or equal to 1"]),
    "settings that disagree": ((*SWEEP, "--set", "planner.elites=999"), ["planner", "elites=999", "samples"]),
    "a swept path": ((*SWEEP, "--set", "predictor.size=tiny"), ["predictor.size", "the sweep varies"]),
    "a seed": ((*SWEEP, "--set", "seed=1"), ["seed", "--seeds"]),
    "a world by path": ((*SWEEP, "--set", "data.world=single_dot"), ["data.world", "--world"]),
    "no value": ((*SWEEP, "--set", "optim.steps"), ["set: 'optim.steps'", "path=value"]),
    "no seeds": ((*SWEEP, "--seeds", "0"), ["seeds: 0"]),
    "seeds that are no number": ((*SWEEP, "--seeds", "many"), ["seeds: 'many' is no whole number"]),
    "an option that is none": ((*SWEEP, "--sede", "1"), ["--sede"]),
    "a tracking server of no known kind": (
        (*SWEEP, "--tracking-uri", "ftp://x"),
        ["tracking-uri: 'ftp://x'", "sqlite"],
    ),
}


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_with_its_name_and_nothing_is_written(arguments, words, invoke, tmp_path):
    result = invoke(*arguments, "--store", tmp_path / "store")
    assert result.exit_code == 2
    message = " ".join(result.stderr.split())
    assert not [word for word in words if word not in message], message
    assert not (tmp_path / "store").exists()


def test_an_unwritable_store_is_refused(invoke, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = invoke(*SWEEP, "--store", tmp_path / "file" / "store")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    assert str(tmp_path / "file" / "store") in result.stderr


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("threads", 64, "threads: a trial asks for 64 CPU, the cluster has 2"),
        ("executor", "train", "executor: a trial asks for 1 trial_slot, the cluster has 0"),
    ],
)
def test_a_trial_that_can_never_start_is_refused(path, value, message, monkeypatch):
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
    with pytest.raises(ConfigError, match=message):
        cluster.check_fits([assign(base_config("lewm", "two_room", "local"), path, value)])


def test_list_names_every_sweep_with_its_question_and_number_of_trials(invoke):
    lines = invoke("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == search_spaces.names()
    assert "9 trials  How small can the predictor be" in next(line for line in lines if "predictor_size" in line)


def test_the_plan_tells_what_is_done_failed_and_to_run(invoke, command, done, small, tmp_path):
    trials = small(seeds=4).trials
    store = Store(shutil.copytree(done.root, tmp_path / "store"))
    pipeline.fail(trials[6].config, store, "Traceback\nValueError: no luck")
    result = invoke(*command(store.root, "--seeds", "4", "--plan"))
    rows = [line.split() for line in result.stdout.splitlines()[2:-1]]
    assert result.exit_code == 0
    assert [(row[1], int(row[2])) for row in rows] == [(trial.arm, trial.seed) for trial in trials]
    assert [row[3] for row in rows] == [f"encoder={trial.arm}" for trial in trials]
    states = [" ".join(row[4:]).rstrip("0123456789.").strip() for row in rows]
    assert states == ["done"] * 6 + ["failed", "to run"]
    assert "8 trials: 6 done, 1 failed, 1 to run; about 0.0" in result.stdout
    assert "from 6 past trials" in result.stdout


def test_hours_are_those_of_the_most_similar_past_trials(done, small, tmp_path):
    from study import plan as plans

    plan = plans.plan(small(seeds=4), done)
    expected = {"conv": [], "vit": []}
    for trial in small(seeds=3).trials:
        expected[trial.arm].append(sum(pipeline.record_part(trial.config, done)["seconds"].values()) / 3600)
    for planned in plan.open:
        mean = sum(expected[planned.trial.arm]) / 3
        assert planned.hours == pytest.approx(mean)
    guess = plans.plan(small(seeds=1), Store(tmp_path / "empty"))
    assert [planned.hours for planned in guess.open] == [plans.GUESSED_HOURS["local"]] * 2
    assert guess.evidence == 0


def test_a_report_is_rebuilt_from_what_there_is(invoke, command, done, tmp_path):
    store = shutil.copytree(done.root, tmp_path / "store")
    result = invoke(*command(store, "--seeds", "4", "--report"))
    assert result.exit_code == 0
    (folder,) = (store / "reports").iterdir()
    declared = json.loads((folder / "study.json").read_text())
    assert declared["seeds"] == [0, 1, 2, 3]
    assert set(declared["floors"]) == {"no-op", "random"}
    assert "vit" in result.stdout
    assert str(folder) in result.stdout
    assert not (store / "mlflow.db").exists()


def test_a_report_of_nothing_is_a_table_of_missing_trials(invoke, command, tmp_path):
    result = invoke(*command(tmp_path / "store", "--report"))
    assert result.exit_code == 0
    assert "missing" in result.stdout


def test_worlds_scales_and_sets_get_report_folders_of_their_own(small):
    from study import plan as plans

    keys = [
        plans.make_study("predictor_size", sets={}).key,
        plans.make_study("predictor_size", sets={}, seeds=5).key,
        plans.make_study("predictor_size", world="single_dot", sets={}).key,
        plans.make_study("predictor_size", world="two_room", scale="gpu", sets={}).key,
        small().key,
    ]
    assert keys[:4] == [
        "predictor_size",
        "predictor_size",
        "predictor_size--single_dot--local",
        "predictor_size--two_room--gpu",
    ]
    assert keys[4].startswith("encoder--two_room--local--")
    assert keys[4] != small(**{"optim.steps": 61}).key
