"""An arm that this machine cannot run is shown as not run, costs nothing, and is run once what it lacks is there."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import search_spaces
from analysis.mlflow_records import read_mlflow
from envs._source_file import fingerprint
from search_spaces._sweep import Arm, Sweep
from study import claim, report, status
from study import plan as plans
from tests._small import SMALLEST
from trainables import ids, pipeline
from trainables.store import Store

SETS = SMALLEST | {"measures": {"success_rate": {}}}
SETS = {path: value for path, value in SETS.items() if not path.startswith(("measures.", "encoder."))}
LACKS = "no weights: they are not here; give encoder.weights=PATH"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of DINOv2's shape, and its fingerprint."""
    import timm
    from safetensors.torch import save_file

    file = tmp_path_factory.mktemp("weights") / "dinov2.safetensors"
    vit = timm.create_model("vit_small_patch14_dinov2.lvd142m", pretrained=False, num_classes=0)
    save_file(vit.state_dict(), file)
    return file, fingerprint(str(file))


@pytest.fixture
def arguments(weights, tmp_path, monkeypatch):
    """The command of a sweep of two encoders, of which one needs a file that is not where it is said to be."""
    place = tmp_path / "later.safetensors"
    named = {"encoder.weights": str(place), "encoder.fingerprint": weights[1]}
    dinov2 = {"encoder": "dinov2", "encoder.side": 14, "encoder.tokens": "class", **named}
    sweep = Sweep(
        question="Does the encoder matter?",
        base="lewm",
        worlds={"local": "two_room"},
        arms=[Arm("conv"), Arm("dinov2", dinov2)],
        baseline="conv",
    )
    monkeypatch.setattr(search_spaces, "load", lambda name: sweep)
    sets = [part for path, value in SETS.items() for part in ("--set", f"{path}={json.dumps(value)}")]
    return ["--sweep", "encoder", "--store", str(tmp_path / "store"), "--seeds", "2", *sets]


@pytest.fixture
def lacking(small):
    """The small study of whose second arm the machine lacks something."""
    return replace(small(seeds=2), lacks={"none": LACKS})


def test_the_arm_is_not_run_until_what_it_lacks_is_there(arguments, weights, invoke, tmp_path):
    first = invoke(*arguments)
    assert first.exit_code == 0, first.stderr
    assert "4 trials: 2 to run, 2 not run; about" in first.stdout
    assert f"not run: dinov2: no weights: there is no file {tmp_path}/later.safetensors" in first.stdout
    assert "not run: no weights" in next(line for line in first.stdout.splitlines() if line.startswith("| dinov2"))
    assert "Not run (no weights), and in no mean or test: dinov2 (2 trials)." in first.stdout
    assert "[2/2] conv, seed 1" in first.stderr

    store = Store(tmp_path / "store")
    assert len(store.keys("train/")) == 2 * 2  # of two trainings, each with one measure
    (key,) = claim.notes(store)
    assert (claim.read(key, store)["state"], len(claim.read(key, store)["trials"])) == (claim.COMPLETE, 2)
    kept = {(record["arm"], record["seed"]): record for record in read_mlflow(f"sqlite:///{store.root}/mlflow.db", key)}
    assert [kept["dinov2", seed]["status"] for seed in (0, 1)] == ["not run", "not run"]
    assert kept["dinov2", 0]["error"].startswith("no weights: ")

    shown = invoke(*arguments, "--status")
    assert "trials: 2 done, 0 running, 0 failed, 0 to run, 2 not run" in shown.stdout
    assert "\ncomplete but for what is not run\n" in shown.stdout
    assert shown.stdout.count("no weights: there is no file") == 1
    assert (
        "next: 2 trials wait for what is lacking here, see above; once it is there, the same command without --status "
        "runs them" in shown.stdout
    )

    (tmp_path / "later.safetensors").symlink_to(weights[0])
    second = invoke(*arguments)
    assert second.exit_code == 0, second.stderr
    assert "4 trials: 2 done, 2 to run; about" in second.stdout
    assert "not run" not in second.stdout
    kept = read_mlflow(f"sqlite:///{store.root}/mlflow.db", key)
    assert {record["status"] for record in kept} <= {"ok", "collapsed"}
    assert len(kept) == 4
    assert not any(record.get("error") for record in kept)


def test_where_all_arms_lack_it_the_command_is_refused_and_nothing_is_written(invoke, tmp_path):
    place = tmp_path / "nowhere.pth"
    sets = {"encoder": "dinov2", "encoder.tokens": "class", "encoder.weights": place, "encoder.fingerprint": "0" * 12}
    asked = ["--sweep", "projector_norm", "--store", tmp_path / "store"]
    asked += [part for path, value in sets.items() for part in ("--set", f"{path}={value}")]
    result = invoke(*asked)
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert said.startswith("error: this machine can run no trial of projector_norm--two_room--local--")
    assert f"no weights: there is no file {place}; give encoder.weights=PATH" in said
    assert not (tmp_path / "store").exists()
    for look, words in (("--plan", "6 trials: 6 not run"), ("--status", "never run here")):
        shown = invoke(*asked, look)
        assert (shown.exit_code, words in shown.stdout) == (0, True)
        assert "begins it" not in shown.stdout
    rebuilt = invoke(*asked, "--report")
    assert rebuilt.exit_code == 0
    assert rebuilt.stdout.count("not run: no weights") >= 2


def test_what_another_machine_has_run_counts_as_done(lacking, done):
    found = plans.plan(lacking, done)
    assert [planned.state for planned in found.planned] == ["done"] * 4
    assert plans.summary(found) == "4 trials: 4 done"
    plans.check_runnable(replace(lacking, lacks={"batch": LACKS, "none": LACKS}), done)
    assert {record["status"] for record in report.records(lacking, done)} <= {"ok", "collapsed"}


def test_it_is_planned_for_nothing_and_named_with_what_it_lacks(lacking, tmp_path):
    store = Store(tmp_path)
    pipeline.fail(lacking.trials[1].config, store, "Traceback\nValueError: no luck")
    found = plans.plan(lacking, store)
    assert [planned.state for planned in found.planned] == ["to run", "not run"] * 2
    assert [planned.trial.arm for planned in found.open] == ["batch", "batch"]
    assert found.hours == pytest.approx(sum(planned.hours for planned in found.planned[::2]))
    line, why = plans.summary(found).splitlines()
    assert line.startswith("4 trials: 2 to run, 2 not run; about 0.10 trial-hours")
    assert why == f"not run: none: {LACKS}"
    records = report.records(lacking, store)
    assert [(record["status"], record["error"]) for record in records[1::2]] == [("not run", LACKS)] * 2
    assert [record["status"] for record in records[::2]] == ["missing"] * 2


def test_floors_are_of_an_arm_that_was_run_and_nothing_is_recorded_for_one_that_was_not(small, done):
    arms = [Arm("gone", {"data.seed": 1}), Arm("here")]
    sweep = Sweep(question="?", base="lewm", worlds={"local": "two_room"}, arms=arms, baseline="gone")
    study = replace(small(seeds=1), sweep=sweep, lacks={"gone": LACKS})
    before = done.keys("data/")
    declared = report.declaration(study, done, report.records(study, done))
    assert set(declared["floors"]) == {"no-op", "random"}
    assert (declared["floor_arms"], declared["alike"]) == (["here"], ["gone"])
    assert done.keys("data/") == before


def test_the_status_counts_it_apart_and_says_what_waits_for_what(lacking, tmp_path, done):
    lines = status.one(lacking, Store(tmp_path)).splitlines()
    assert "trials: 0 done, 0 running, 0 failed, 2 to run, 2 not run" in lines
    assert f"  not run  none, seeds 0, 1: {LACKS}" in lines
    assert lines[-1] == "next: the same command without --status goes on from here"
    assert "trials: 4 done, 0 running, 0 failed, 0 to run" in status.one(lacking, done).splitlines()
    nothing = status.one(replace(lacking, lacks={"batch": LACKS, "none": LACKS}), Store(tmp_path)).splitlines()
    assert "trials: 0 done, 0 running, 0 failed, 0 to run, 4 not run" in nothing
    assert nothing[-1] == f"next: this machine can run no trial of {lacking.key}: {LACKS}"


def test_searches_none_of_which_this_machine_can_run_are_refused_and_promised_nothing(invoke, tmp_path):
    place = tmp_path / "nowhere.pth"
    sets = {"encoder": "dinov2", "encoder.tokens": "class", "encoder.weights": place, "encoder.fingerprint": "0" * 12}
    asked = ["--sweep", "equal_budget", "--store", tmp_path / "store"]
    asked += [part for path, value in sets.items() for part in ("--set", f"{path}={value}")]
    for more in ([], ["--report"]):
        refused = invoke(*asked, *more)
        assert refused.exit_code == 2
        assert "this machine can run no trial of equal_budget--two_room--local--" in " ".join(refused.stderr.split())
    assert not (tmp_path / "store").exists()
    never = invoke(*asked, "--status").stdout
    Store(tmp_path / "store")
    empty = invoke(*asked, "--status").stdout
    assert "trials: 0 done, 0 running, 0 failed, 0 to run, 9 not run" in empty
    for shown in (never, empty):
        assert "this machine can run no trial of equal_budget--two_room--local--" in shown.splitlines()[-1]
        assert "without --status" not in shown


def test_arms_are_alike_where_they_share_their_test_episodes_and_tasks(small, done):
    def alike(arms, **sets):
        sweep = Sweep(question="?", base="smwm", worlds={"local": "two_room"}, arms=arms, baseline=arms[0].name)
        study = plans.Study(name="x", sweep=sweep, world="two_room", scale="local", sets=sets, seeds=(0,))
        return report.declaration(study, done, [])["alike"]

    fewer = Arm("fewer", {"data.episodes": 100, "protocol.tasks": 50, "planner.samples": 64})
    assert alike([Arm("all"), fewer]) == ["all", "fewer"]
    for path, value in {
        "data.held_out": 50,
        "data.seed": 1,
        "data.options.background": "gray",
        "protocol.offset": 20,
        "protocol.early": 1,
        "protocol.task_seed": 1,
        "protocol.solved_starts": True,
        "protocol.split": "validation",
    }.items():
        assert alike([Arm("all"), Arm("other", {path: value})]) == ["all"], path


def test_every_published_sweep_of_worlds_of_its_own_compares_nothing(done):
    for name in ("controllability", "sprite_controllability"):
        study = plans.make_study(name, sets={}, seeds=1)
        declared = report.declaration(study, done, [])
        assert declared["alike"] == [study.sweep.baseline]
        assert declared["truth"]["knee"] == dict(study.sweep.truth["knee"])
    study = plans.make_study("data_size", sets={}, seeds=1)
    assert len(report.declaration(study, done, [])["alike"]) == len(study.sweep.arms)
    keys = {ids.data_key(trial.config, "train") for trial in study.trials}
    assert len(keys) == len(study.sweep.arms)
