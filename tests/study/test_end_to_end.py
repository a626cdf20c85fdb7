"""Whole studies on Ray: killed here and there they end as if nothing had happened, and both executors agree."""

from __future__ import annotations

import csv
import os
import signal
import time
from dataclasses import replace

import psutil
import pytest

from analysis.mlflow_records import read_mlflow
from study import cluster, report
from study import plan as plans
from study.sources import TRIES, Arms
from trainables import ids, pipeline
from trainables.monitors import Watch
from trainables.store import Store


class Ear:
    """A listener that remembers everything and may do something about it."""

    def __init__(self, on_report=None):
        self.events, self.on_report = [], on_report

    def collecting(self, what, done, total):
        pass

    def started(self, trial):
        self.events.append(("started", trial, None))

    def reported(self, trial, report):
        self.events.append(("reported", trial, report))
        if self.on_report:
            self.on_report(trial, report)

    def again(self, trial, why):
        self.events.append(("again", trial, why))

    def waits(self, what):
        self.events.append(("waits", None, what))

    def finished(self, trial, record):
        self.events.append(("finished", trial, record))

    def of(self, kind):
        return [(trial, report) for happened, trial, report in self.events if happened == kind]


def execute(trials, store, ear):
    cluster.quieten()
    from study.execute import execute

    execute(Arms(trials, store), store, [ear])


def trial_process(driver=None):
    """The process in which a trial runs, a descendant of the driver (or of this process); waits until there is one."""
    while True:
        assert driver is None or driver.poll() is None, driver.communicate()
        for process in psutil.Process(driver and driver.pid).children(recursive=True):
            try:
                if "ray::ImplicitFunc" in " ".join(process.cmdline()):
                    return process
            except psutil.Error:
                continue
        time.sleep(0.05)


def trained(store):
    """When each finished training was written."""
    files = (store.root / "train").glob("*/result.json")
    return {file.parent.name: file.stat().st_mtime_ns for file in files}


def untimed(folder):
    """The rows of table.csv but those of measured time."""
    with open(folder / "table.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["timed"] != "true"]


def scratch(pid):
    return list(cluster.SCRATCH.glob(f"{cluster.PREFIX}{pid}-*"))


def test_killed_trials_and_a_killed_driver_leave_the_table_of_an_undisturbed_study(
    command, spawn, small, done, tmp_path
):
    store, study = Store(tmp_path / "store"), small(seeds=3)

    first = spawn(command(store.root, "--seeds", "2"), tmp_path)
    trial_process(first).kill()
    _, errors = first.communicate()
    assert first.returncode == 0, errors
    assert errors.count("it is tried again") == 1
    assert plans.plan(small(seeds=2), store).count("done") == 4
    assert scratch(first.pid) == []

    second = spawn(command(store.root, "--seeds", "3"), tmp_path)
    while "[5/6]" not in (line := second.stderr.readline()):
        assert line, "the driver ended"
    os.kill(second.pid, signal.SIGKILL)
    second.wait()
    finished = trained(store)
    assert len(finished) >= 5

    third = spawn(command(store.root, "--seeds", "3"), tmp_path)
    _, errors = third.communicate()
    assert third.returncode == 0, errors
    assert finished.items() <= trained(store).items()
    assert scratch(second.pid) == scratch(third.pid) == []
    undisturbed = report.write(study, done, report.records(study, done))
    assert untimed(report.folder(study, store)) == untimed(undisturbed)
    kept = read_mlflow(f"sqlite:///{store.root}/mlflow.db", study.key)
    assert {record["status"] for record in kept} <= {"ok", "collapsed"}
    assert len(kept) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_ctrl_c_ends_a_study_with_one_line_how_to_go_on(command, spawn, tmp_path):
    driver = spawn(command(tmp_path / "store", "--seeds", "1", sets={"optim.steps": 100_000}), tmp_path)
    trial_process(driver)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate()
    assert driver.returncode == 130
    assert errors.splitlines()[-1] == "stopped; the same command goes on from here"
    assert "Traceback" not in errors
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert scratch(driver.pid) == []


def test_one_ray_train_worker_gives_the_bits_of_training_in_the_trial_and_says_what_it_warns_of(
    small, done, tmp_path, monkeypatch
):
    monkeypatch.setattr("study.execute.collect", lambda *_: None)  # then it is the trial that finds the damage
    trial, store, ear = small(seeds=1, executor="train").trials[0], Store(tmp_path), Ear()
    pipeline.ensure_data(trial.config, store, "test")
    episodes = store.root / ids.data_key(trial.config, "test") / "episodes.arrow"
    episodes.write_bytes(episodes.read_bytes()[:-1])
    execute([trial], store, ear)
    record, expected = (pipeline.record_part(trial.config, shelf) for shelf in (store, done))
    assert record["trace"] == expected["trace"] is not None
    seconds = record["measures"].pop("planning_seconds"), expected["measures"].pop("planning_seconds")
    assert min(seconds) > 0
    assert record["measures"] == expected["measures"]
    assert record["tasks"] == expected["tasks"]
    reports = [report for _, report in ear.of("reported")]
    assert [point["step"] for report in reports for point in report["points"]] == [*range(1, 51), 60]
    assert "quarantine" in " ".join(warning for report in reports for warning in report["warnings"])
    assert [kind for kind, *_ in ear.events][:: len(ear.events) - 1] == ["started", "finished"]


def test_a_killed_ray_train_trial_frees_its_workers_for_the_next_whose_losses_are_those_of_one_worker(small, tmp_path):
    """Two workers of one core each: on two cores the second trial waits for what the first one held."""
    # At a low rate, for Adam turns gradients that are zero but for rounding into full steps.
    steady = {"predictor.dropout": 0.0, "optim.lr": 1e-4, "optim.warmup": 1.0, "optim.clip": 1e9, "optim.steps": 20}
    pair = {"executor": "train", "workers": 2}
    first, second = (small(seeds=1, **pair, **sets).trials[0] for sets in ({"optim.steps": 5000}, steady))
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")

    def kill(trial, report):
        if trial is first and report["event"]["phase"] == "train":
            trial_process().kill()

    ear = Ear(kill)
    execute([first, second], together, ear)
    assert pipeline.record_part(first.config, together)["status"] == "crashed"
    assert [trial for trial, _ in ear.of("again")] == [first] * (TRIES - 1)
    assert pipeline.state(second.config, together) == "done"
    pipeline.run_trial(second.config, alone)
    losses = [pipeline.history(second.config, store)["loss"] for store in (together, alone)]
    assert len(losses[0]) == 20
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_look_reaches_the_source_which_may_stop_the_training_there(small, tmp_path):
    class Stopping(Arms):
        looks = ()

        def judge(self, trial, report):
            self.looks += tuple(look["step"] for look in report["looks"])
            return bool(self.looks)

    store, ear = Store(tmp_path), Ear()
    watched = replace(small(seeds=1).trials[0], watch=Watch((20, 40), ("probe_r2",)))
    source = Stopping([watched], store)
    cluster.quieten()
    from study.execute import execute

    execute(source, store, [ear])
    assert source.looks == (20,)
    assert [record["status"] for _, record in ear.of("finished")] == ["missing"]
