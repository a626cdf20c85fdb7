"""The command line: what it shows, and what it says to bad input."""

from __future__ import annotations

import json
import shutil
import time

import pytest

import search_spaces
from analysis.mlflow_records import read_mlflow
from study import cluster, report
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
    "unknown path": ((*SWEEP, "--set", "optim.stepz=3"), ["optim.stepz", "did you mean 'optim.steps'"]),
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
    "a set that comes twice": ((*SWEEP, "--set", "optim.steps=3", "--set", "optim.steps=4"), ["optim.steps", "twice"]),
    "a plan and a report": ((*SWEEP, "--plan", "--report"), ["--plan and --report"]),
    "a list and a plan": (("--list", "--plan"), ["--list and --plan"]),
    "a list of one sweep": (("--list", *SWEEP), ["--list and --sweep predictor_size"]),
    "an empty store": ((*SWEEP, "--store", ""), ["store: ''"]),
    "a world that is not there yet": (
        (*SWEEP, "--scale", "gpu"),
        ["world: 'nowhere', which predictor_size uses at scale gpu, is not there; give --world, one of cube"],
    ),
    "a tracking server of no known kind": (
        (*SWEEP, "--tracking-uri", "ftp://x"),
        ["tracking-uri: 'ftp://x'", "sqlite"],
    ),
    "a tracking database without a file": ((*SWEEP, "--tracking-uri", "sqlite:nonsense"), ["sqlite:///PATH"]),
    "a tracking database of no path": ((*SWEEP, "--tracking-uri", "sqlite:///"), ["sqlite:///PATH"]),
    "a tracking server without a host": ((*SWEEP, "--tracking-uri", "http:///x"), ["http://HOST:PORT"]),
    "a tracking server with a password": ((*SWEEP, "--tracking-uri", "http://me:pw@x"), ["tracking-uri: it holds"]),
    "a tracking server with a strange port": ((*SWEEP, "--tracking-uri", "http://x:y"), ["port is no number"]),
    "a tracking server of no form": ((*SWEEP, "--tracking-uri", "mysql:x"), ["mysql://USER@HOST"]),
    "an address that is none": ((*SWEEP, "--address", "nonsense"), ["address: 'nonsense'", "HOST:PORT"]),
    "an address without a host": ((*SWEEP, "--address", ":6379"), ["address: ':6379'", "HOST:PORT"]),
    "an empty address": ((*SWEEP, "--address", ""), ["address: ''", "HOST:PORT"]),
}


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_with_its_name_and_nothing_is_written(arguments, words, invoke, tmp_path, monkeypatch):
    monkeypatch.setitem(search_spaces.load("predictor_size").worlds, "gpu", "nowhere")
    monkeypatch.chdir(tmp_path)
    result = invoke("--store", tmp_path / "store", *arguments)
    assert result.exit_code == 2
    message = " ".join(result.stderr.split())
    assert not [word for word in words if word not in message], message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["127.0.0.1:9", "no-such-host.invalid:6379", "ray://127.0.0.1:9"])
def test_a_cluster_that_cannot_be_reached_is_refused_soon(address, invoke, command, tmp_path):
    began = time.monotonic()
    result = invoke(*command(tmp_path / "store", "--address", address))
    assert result.exit_code == 2
    assert f"address: {address!r} cannot be reached" in result.stderr
    assert time.monotonic() - began < 12


def test_the_cluster_of_the_environment_is_tried_where_the_address_is_auto(invoke, command, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    result = invoke(*command(tmp_path / "store", "--address", "auto"))
    assert result.exit_code == 2
    assert "address: 'auto' cannot be reached (ConnectionRefusedError" in result.stderr


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(invoke, command, done, tmp_path):
    store = shutil.copytree(
        done.root, tmp_path / "store", ignore=shutil.ignore_patterns("reports", "mlflow.db", "notes")
    )
    (store / "reports").write_text("in the way")
    for more in ((), ("--report",)):
        result = invoke(*command(store, *more))
        assert result.exit_code == 2
        assert f"the report {store}/reports/" in result.stderr
    assert not (store / "mlflow.db").exists()


def test_a_plan_writes_nothing(invoke, command, tmp_path):
    result = invoke(*command(tmp_path / "store", "--plan"))
    assert result.exit_code == 0
    assert "6 trials: 6 to run" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["config.json", "result.json", "values.json"])
@pytest.mark.parametrize("content", ["{", "{}", '{"seconds": "long"}', "[]"])
def test_what_is_damaged_elsewhere_in_the_store_spoils_no_plan(invoke, command, done, tmp_path, file, content):
    store = shutil.copytree(
        done.root, tmp_path / "store", ignore=shutil.ignore_patterns("reports", "mlflow.db", "notes")
    )
    for damaged in store.glob(f"train/**/{file}"):
        damaged.write_text(content)
    result = invoke(*command(store, "--set", "optim.lr=0.00123", "--plan"))
    assert result.exit_code == 0
    assert "a guess, none like them was run yet" in result.stdout


def test_the_seeds_of_an_earlier_report_stay_in_it_and_are_not_run(invoke, command, done, small, tmp_path):
    store = Store(
        shutil.copytree(done.root, tmp_path / "store", ignore=shutil.ignore_patterns("reports", "mlflow.db", "notes"))
    )
    pipeline.fail(small(seeds=4).trials[-1].config, store, "Traceback\nValueError: no luck")
    invoke(*command(store.root, "--seeds", "4", "--report"))
    for more in (("--report",), ()):
        result = invoke(*command(store.root, "--seeds", "2", *more))
        assert result.exit_code == 0, result.stderr
        assert "what this study has besides: seeds 2, 3\n" in result.stdout
        declared = json.loads((report.folder(small(), store) / "study.json").read_text())
        assert declared["seeds"] == [0, 1, 2, 3]
    kept = read_mlflow(f"sqlite:///{store.root}/mlflow.db", small().key)
    assert {record["seed"] for record in kept} == {0, 1, 2, 3}
    assert pipeline.state(small(seeds=4).trials[-1].config, store) == "failed"


def test_an_unwritable_store_is_refused(invoke, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = invoke(*SWEEP, "--store", tmp_path / "file" / "store")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    assert str(tmp_path / "file" / "store") in result.stderr


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("threads", 64, "threads: a trial asks for 64 CPU on one node, the largest has 2"),
        ("executor", "train", "executor: a trial asks for 1 trial_slot on one node, the largest has 0"),
    ],
)
def test_a_trial_that_can_never_start_is_refused(path, value, message, monkeypatch):
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    with pytest.raises(ConfigError, match=message):
        cluster.Joined().check_fits([assign(base_config("lewm", "two_room", "local"), path, value)])


def test_list_names_every_sweep_with_its_question_and_number_of_trials(invoke):
    lines = invoke("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == search_spaces.names()
    assert "9 trials  How small can the predictor be" in next(line for line in lines if "predictor_size" in line)


def test_the_plan_tells_what_is_done_failed_and_to_run(invoke, command, done, small, tmp_path):
    trials = small(seeds=4).trials
    store = Store(
        shutil.copytree(done.root, tmp_path / "store", ignore=shutil.ignore_patterns("reports", "mlflow.db", "notes"))
    )
    pipeline.fail(trials[6].config, store, "Traceback\nValueError: no luck")
    result = invoke(*command(store.root, "--seeds", "4", "--plan"))
    rows = [line.split() for line in result.stdout.splitlines()[2:-1]]
    assert result.exit_code == 0
    assert [(row[1], int(row[2])) for row in rows] == [(trial.arm, trial.seed) for trial in trials]
    assert [row[3] for row in rows] == [f"projector.norm={trial.arm}" for trial in trials]
    states = [" ".join(row[4:]).rstrip("0123456789.").strip() for row in rows]
    assert states == ["done"] * 6 + ["failed", "to run"]
    assert "8 trials: 6 done, 1 failed, 1 to run; about 0.0" in result.stdout
    assert "from 6 past trials" in result.stdout


def test_hours_are_those_of_the_most_similar_past_trials(done, small, tmp_path):
    from study import plan as plans

    plan = plans.plan(small(seeds=4), done)
    expected = {"batch": [], "none": []}
    for trial in small(seeds=3).trials:
        expected[trial.arm].append(sum(pipeline.record_part(trial.config, done)["seconds"].values()) / 3600)
    for planned in plan.open:
        mean = sum(expected[planned.trial.arm]) / 3
        assert planned.hours == pytest.approx(mean)
    guess = plans.plan(small(seeds=1), Store(tmp_path / "empty"))
    assert [planned.hours for planned in guess.open] == [plans.GUESSED_HOURS["local"]] * 2
    assert guess.evidence == 0


def test_a_report_is_rebuilt_from_what_there_is(invoke, command, done, tmp_path):
    store = shutil.copytree(
        done.root, tmp_path / "store", ignore=shutil.ignore_patterns("reports", "mlflow.db", "notes")
    )
    result = invoke(*command(store, "--seeds", "4", "--report"))
    assert result.exit_code == 0
    (folder,) = (store / "reports").iterdir()
    declared = json.loads((folder / "study.json").read_text())
    assert declared["seeds"] == [0, 1, 2, 3]
    assert set(declared["floors"]) == {"no-op", "random"}
    assert "| none" in result.stdout
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
    assert keys[4].startswith("projector_norm--two_room--local--")
    assert keys[4] != small(**{"optim.steps": 61}).key
