"""A trial's stages: made once, made again when damaged, taken up when killed."""

import logging
from dataclasses import asdict

import pytest

from trainables import ids, pipeline, training
from trainables.measures._value import Value
from trainables.paths import flatten
from trainables.store import Store, TakenOverError


def untouched(*_):
    raise AssertionError("this stage was made again")


def test_a_trial_is_made_once_and_its_record_says_everything(tiny, shelf):
    config = tiny("smwm")
    assert pipeline.run_trial(config, shelf)["status"] in ("ok", "collapsed")
    record = pipeline.run_trial(config, shelf, train=untouched, map=untouched)
    assert record["trial"] == ids.train_key(config).removeprefix("train/")
    assert record["config"] == flatten(config)
    assert len(record["tasks"]) == 10 and record["tasks"][3]["task"] == 3
    assert record["measures"]["success_rate"] == sum(task["success"] for task in record["tasks"]) / 10
    assert record["seconds"]["train"] > 0 and record["steps"] == 12 and record["parameters"] > 1000
    assert record["versions"]["torch"] and record["device"] and isinstance(record["dirty"], bool)
    assert pipeline.state(config, shelf) == "done"
    assert pipeline.history(config, shelf)["step"][-1] == 12


def test_a_new_measure_setting_runs_on_the_old_checkpoint_and_replans_nothing(tiny, shelf):
    config = tiny("smwm")
    pipeline.run_trial(config, shelf)
    other = tiny("smwm", measures__probe_r2__fit=150)
    assert pipeline.state(other, shelf) == "to run"
    assert pipeline.run_trial(other, shelf, train=untouched, map=untouched)["measures"]["probe_r2"] is not None


def test_a_crash_is_remembered_until_the_trial_succeeds(tiny, shelf):
    config = tiny("smwm", seed=11)
    pipeline.fail(config, shelf, "RuntimeError: out of luck")
    assert pipeline.state(config, shelf) == "failed"
    record = pipeline.record_part(config, shelf)
    assert (record["status"], record["error"], record["measures"]) == ("crashed", "RuntimeError: out of luck", {})
    assert pipeline.run_trial(config, shelf)["error"] is None
    assert pipeline.state(config, shelf) == "done"


def test_too_few_unsolved_starts_are_found_before_anything_is_trained(tiny, shelf):
    config = tiny("smwm", seed=14, protocol__tasks=94)  # of 96 starts, some of them solved
    with pytest.raises(ValueError, match=r"protocol\.tasks=94 is more than the \d+ unsolved starts"):
        pipeline.run_trial(config, shelf, train=untouched)


def test_a_crash_whose_reason_is_damaged_is_still_a_crash(tiny, shelf):
    config = tiny("smwm", seed=15)
    pipeline.fail(config, shelf, "why")
    (shelf.root / "notes" / f"{pipeline._failure(config)}.json").write_text("{")
    assert pipeline.record_part(config, shelf)["status"] == "crashed"


def test_a_trial_that_never_ran_is_missing(tiny, shelf):
    config = tiny("smwm", seed=12)
    assert pipeline.state(config, shelf) == "to run"
    assert pipeline.record_part(config, shelf)["status"] == "missing"


def test_a_diverged_training_is_a_result_without_measures(tiny, shelf):
    config = tiny("smwm", optim__lr=1.0, optim__clip=1e30, terms__inverse__weight=1e30, optim__steps=200)
    record = pipeline.run_trial(config, shelf)
    assert record["status"] == "diverged" and record["measures"] == {} and record["error"] is None
    assert pipeline.state(config, shelf) == "done"


@pytest.mark.parametrize("stage", ["checkpoint", "episodes", "measure"])
def test_a_damaged_file_is_made_again_and_never_used(stage, tiny, tmp_path, caplog):
    config, store = tiny("smwm"), Store(tmp_path)
    before = pipeline.run_trial(config, store)
    key, name = {
        "checkpoint": (ids.train_key(config), "model.safetensors"),
        "episodes": (ids.data_key(config, "train"), "episodes.arrow"),
        "measure": (ids.measure_key(config, "probe_r2"), "values.json"),
    }[stage]
    file = store.get(key) / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        fresh = Store(tmp_path)
        after = pipeline.run_trial(config, fresh)
    assert name in caplog.text and fresh.get(key) is not None
    timed = {"planning_seconds"}
    assert {k: v for k, v in after["measures"].items() if k not in timed} == {
        k: v for k, v in before["measures"].items() if k not in timed
    }


def test_training_that_was_killed_is_taken_up_at_its_checkpoint(tiny, shelf, monkeypatch):
    config = tiny("smwm", seed=13, optim__steps=30)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def killed(event):
        if event.get("step") == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run_trial(config, shelf, progress=killed)
    steps = []
    pipeline.run_trial(config, shelf, progress=lambda event: steps.append(event.get("step")))
    assert next(filter(None, steps)) == 20  # the checkpoint of step 19 was the last
    undisturbed = pipeline.run_trial(config, Store(shelf.root / "another"))
    assert undisturbed["trace"] == pipeline.record_part(config, shelf)["trace"]


def test_what_was_made_while_another_process_took_over_is_left_to_that_one(tiny, shelf, monkeypatch):
    config, key = tiny("smwm", seed=16), ids.train_key(tiny("smwm", seed=16))
    real = training.train

    def train(*arguments):
        real(*arguments)
        monkeypatch.setattr(Store, "holds", lambda self, name: name != key)

    with pytest.raises(TakenOverError, match=f"{key} was taken over"):
        pipeline.run_trial(config, shelf, train=train)
    assert shelf.get(key) is None and (shelf.root / "work" / key / "out" / "result.json").exists()


def test_floors_are_those_of_the_protocols_tasks(tiny, shelf):
    floors = pipeline.ensure_floors(tiny("lewm"), shelf)
    assert floors["no-op"]["success"] == [[False] * 10] and len(floors["random"]["success"]) == 5


def test_every_reported_value_is_declared_with_unit_and_direction():
    values = {value["name"]: value for value in pipeline.measure_values()}
    assert values["planning_seconds"]["timed"] and not values["planning_seconds"]["higher_is_better"]
    assert values["probe_r2"]["most"] == 1.0
    assert values["success_rate"] == {"name": "success_rate", **asdict(Value("of tasks", True, 0.0, 1.0))}
    assert {f"rollout_error_{step}" for step in range(1, 6)} | {"probe_r2", "effective_rank"} <= set(values)
