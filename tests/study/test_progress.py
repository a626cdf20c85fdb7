"""What a study says while it runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from study import plan as plans
from study import progress
from trainables import pipeline
from trainables.store import Store


def shown(study, store, terminal=False):
    """(display, what it wrote so far)"""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=200, color_system=None)
    return progress.Progress(plans.plan(study, store), "success_rate", console), file


def train(step, warnings=()):
    event = {"phase": "train", "step": step, "steps": 60, "loss": 0.125}
    return {"event": event, "points": [], "warnings": list(warnings)}


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when it is told to."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_finished_trial_is_a_line_with_its_number_status_result_and_time(small, done, tmp_path, clock):
    study = small()
    display, written = shown(study, Store(tmp_path))
    with display:
        display.started(study.trials[0])
        clock[0] += 42
        display.finished(study.trials[0], pipeline.record_part(study.trials[0].config, done))
    success = pipeline.record_part(study.trials[0].config, done)["measures"]["success_rate"]
    line = written.getvalue().splitlines()[-1]
    assert line.startswith("[1/4] batch, seed 0: ")
    assert line.endswith(f"success_rate {success:.3g}  (42 s)")
    assert display.counts() == "1 done, 0 running, 3 waiting"


def test_a_crash_is_counted_with_its_reason_even_before_the_trial_began(small, tmp_path):
    study, store = small(), Store(tmp_path)
    display, written = shown(study, store)
    pipeline.fail(study.trials[1].config, store, "Traceback ...\nValueError: no luck\n")
    with display:
        display.finished(study.trials[1], pipeline.record_part(study.trials[1].config, store))
    assert written.getvalue().splitlines()[-1].endswith("none, seed 0: crashed  (0 s)  ValueError: no luck")
    assert display.counts() == "0 done, 0 running, 3 waiting, 1 crashed"


def test_plain_output_tells_step_loss_and_time_left_now_and_then(small, tmp_path, clock):
    study = small()
    display, written = shown(study, Store(tmp_path))
    with display:
        display.started(study.trials[0])
        for step in (10, 20, 30):
            clock[0] += 20
            display.reported(study.trials[0], train(step))
    assert written.getvalue().splitlines()[1:] == [
        "batch, seed 0: step 20/60  loss 0.125  80 s of training left; 0 done, 1 running, 3 waiting, about 11 min left"
    ]


def test_a_terminal_shows_every_running_trial(small, tmp_path):
    study = small()
    display, written = shown(study, Store(tmp_path), terminal=True)
    with display:
        for trial in study.trials[:2]:
            display.started(trial)
        display.reported(study.trials[0], train(10))
        display.reported(
            study.trials[1], {"event": {"phase": "measure", "measure": "probe_r2"}, "points": [], "warnings": []}
        )
        display._live.refresh()
    text = written.getvalue()
    assert "batch, seed 0: step 10/60  loss 0.125" in text
    assert "none, seed 0: measuring probe_r2" in text
    assert "0 done, 2 running, 2 waiting" in text


def test_warnings_are_passed_on_with_the_trial_they_come_from(small, tmp_path):
    study = small()
    display, written = shown(study, Store(tmp_path))
    with display:
        display.started(study.trials[0])
        display.reported(study.trials[0], train(10, ["made again"]))
    assert "warning: batch, seed 0: made again" in written.getvalue()


def test_arms_that_turn_out_the_same_are_told_at_once(small, done, tmp_path):
    study = small()
    display, written = shown(study, Store(tmp_path))
    with display:
        for trial in study.trials[:2]:
            display.started(trial)
            display.finished(trial, pipeline.record_part(trial.config, done) | {"trace": "same"})
    assert "warning: arms batch and none trained to the same losses and weights" in written.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_durations_are_short(seconds, text):
    assert progress.duration(seconds) == text
