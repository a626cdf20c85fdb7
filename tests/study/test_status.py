"""--status: what is running, dead, finished or damaged, told from the store alone and without a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from study import keep, status
from study import plan as plans
from study.candidates import Candidates
from trainables import ids, pipeline
from trainables.remote import RemoteStore, existing_store
from trainables.store import Store, flat

ROOT = Path(__file__).parents[2]
NEVER = 4_000_000  # above the largest process number


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def study(small):
    return small(seeds=2)


def tree(root):
    """Every file below a folder, with its content and time."""
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in root.rglob("*") if file.is_file()}


def finish(store, trial, state="ok"):
    """Put what a trial that is done leaves behind."""
    key = ids.train_key(trial.config)
    entries = {key: {"result.json": {"status": state}}}
    entries |= {ids.measure_key(trial.config, name): {"values.json": {"values": {}}} for name in trial.config.measures}
    for entry, files in entries.items() if state == "ok" else [(key, entries[key])]:
        for name, content in files.items():
            (store.work(entry) / name).write_text(json.dumps(content))
        store.put(entry, store.work(entry))


def lease(store, name, pid=None):
    """Write a lease of this process, or of one that is gone."""
    with store.lease(name):
        file = store.root / "leases" / flat(name)
        owner = json.loads(file.read_text())
    file.write_text(json.dumps(owner | ({"pid": pid} if pid else {})))


def shown(study, store):
    """The status in lines, and that it left no trace."""
    before = tree(store.root)
    text = status.one(study, existing_store(store.root))
    assert tree(store.root) == before
    return text.splitlines()


def test_what_was_never_run(study, store, tmp_path):
    assert "begins it" in status.one(study, existing_store(tmp_path / "nowhere"))
    lines = shown(study, store)
    assert lines[1:4] == ["not run", "trials: 0 done, 0 running, 0 failed, 4 to run", "nothing has happened yet"]
    assert lines[-1] == "next: the same command without --status goes on from here"
    assert not (tmp_path / "nowhere").exists()


def test_a_running_study_tells_who_runs_it_and_how_far_its_trials_are(study, store):
    done, failed, trains, measures = study.trials
    finish(store, done)
    pipeline.fail(failed.config, store, "Traceback\nValueError: no luck")
    lease(store, f"studies/{study.key}")
    lease(store, ids.train_key(trains.config))
    work = store.work(ids.train_key(trains.config)) / "checkpoint.json"
    work.write_text(json.dumps({"step": 40, "history": {}}))
    os.utime(work, (time.time() - 100, time.time() - 100))
    lease(store, ids.measure_key(measures.config, "probe_r2"))
    _, state, counts, *lines = shown(study, store)
    assert state.startswith(f"running: process {os.getpid()} on ")
    assert counts == "trials: 1 done, 2 running, 1 failed, 0 to run"
    assert lines[:3] == [
        "  failed   none, seed 0: ValueError: no luck",
        "  running  batch, seed 1: checkpoint at step 40 of 60, 2 min old",
        "  running  none, seed 1: measuring probe_r2",
    ]
    assert lines[3].startswith("last change: ")
    assert lines[-1] == "next: it goes on by itself"


def test_the_study_of_a_dead_driver(study, store):
    store.write(f"studies/{study.key}", {"state": "unfinished", "trials": []})
    lease(store, f"studies/{study.key}", NEVER)
    lease(store, ids.train_key(study.trials[0].config), NEVER)
    _, state, counts, *_, following = shown(study, store)
    assert state.startswith(f"dead: process {NEVER} on ")
    assert counts == "trials: 0 done, 0 running, 0 failed, 4 to run"
    assert following == "next: the same command without --status goes on from here"


def test_a_stopped_and_a_complete_study(study, store):
    finish(store, study.trials[0], "diverged")
    store.write(f"studies/{study.key}", {"state": "unfinished", "trials": []})
    assert shown(study, store)[1:3] == ["stopped", "trials: 1 done, 0 running, 0 failed, 3 to run"]
    for trial in study.trials[1:]:
        finish(store, trial)
    store.write(f"studies/{study.key}", {"state": "complete", "trials": []})
    lines = shown(study, store)
    assert lines[1:3] == ["complete", "trials: 4 done, 0 running, 0 failed, 0 to run"]
    assert lines[-1] == "next: nothing is left to do"


def test_disk_use_is_told_by_kind(store):
    for name, count in {
        "data/a/episodes.arrow": 3_000_000,
        "floors/b/floors.json": 1,
        "train/c/model.safetensors": 2000,
        "train/c/measures/probe-d/values.json": 300,
        "work/train/e/checkpoint.json": 40,
        "mlflow.db": 10,
        "mlflow.db-journal": 10,
        "artifacts/x/y": 10,
        "reports/s/table.md": 20,
        "quarantine/q": 15,
        "notes/studies/s.json": 7,
    }.items():
        file = store.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(count))
    kept = (store.root / "leases" / ".probe").stat().st_size
    use = status.every(existing_store(store.root)).splitlines()[-1]
    assert use == (
        f"disk use: 3 MB (data 3 MB, checkpoints 2 kB, measures 300 B, unfinished work 40 B, MLflow 30 B, "
        f"reports 20 B, quarantine 15 B, notes {7 + kept} B)"
    )


def test_every_study_is_one_line(store):
    assert status.every(None) == "nothing was kept here yet"
    assert status.every(store).splitlines()[0] == "no study was begun here"
    store.write("studies/b", {"state": "unfinished", "trials": ["00", "01"]})
    store.write("studies/a", {"state": "complete", "trials": []})
    store.write("studies/c", {"state": 3})
    lease(store, "studies/b")
    lines = status.every(existing_store(store.root)).splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b", "c", "disk"]
    assert "complete" in lines[0]
    assert f"running: process {os.getpid()}" in lines[1]
    assert "0/2 trained" in lines[1]
    assert "its note cannot be read" in lines[2]


def test_a_store_in_object_storage_is_looked_at_the_same_way(study, uri, tmp_path, monkeypatch):
    monkeypatch.setenv("WM_CACHE", str(tmp_path / "another-node"))
    assert existing_store(uri) is None
    node = RemoteStore(uri, tmp_path / "node", poll=0.02)
    node.write(f"studies/{study.key}", {"state": "unfinished", "trials": []})
    finish(node, study.trials[0])
    trains = ids.train_key(study.trials[1].config)
    (node.work(trains) / "checkpoint.json").write_text(json.dumps({"step": 40}))
    node.save_work(trains)
    with node.lease(f"studies/{study.key}"), node.lease(trains):
        before = sorted(node.files())
        looked = existing_store(uri)
        _, state, counts, running, last, disk, following = status.one(study, looked).splitlines()
        assert sorted(node.files()) == before
        (line,) = (line for line in status.every(looked).splitlines() if line.startswith(study.key))
    assert state.startswith(f"running: process {os.getpid()} on ")
    assert state in line
    assert counts == "trials: 1 done, 1 running, 0 failed, 2 to run"
    assert running.startswith("  running  none, seed 0: checkpoint at step 40 of 60, ")
    assert last.startswith("last change: ")
    assert "unfinished work" in disk
    assert following == "next: it goes on by itself"
    said = keep.apply("none", study, node, [(trial, {"measures": {}}) for trial in study.trials[:1]])
    assert said == "keep none: removed the weights of 0 trainings (0 B)"


# --- searches

TOLD = {"values": {"success_rate": 0.5}, "limits": {}, "about": {"trial": "00", "step": 1, "seconds": 1.0}}


@pytest.fixture
def search():
    return plans.make_study("tune_lewm", sets={})


def journal(store, study, *lines):
    name = Candidates(study, store).key
    for number, line in enumerate(lines, start=len(store.lines(name))):
        store.append(name, number, line)
    return name


def asked(number, weight=0.01, size="small"):
    params = {"terms.sigreg.weight": weight, "predictor.size": size, "encoder": "conv", "predictor.dropout": 0.1}
    return {"event": "ask", "number": number, "params": params, "note": None}


def test_a_search_tells_what_it_asked_for_was_told_and_found_best(search, store):
    name = journal(
        store,
        search,
        *(asked(number, 0.01 * (number + 1)) for number in range(5)),
        {"event": "report", "number": 0, "step": 10, "values": {}, "stop": None},
        {"event": "tell", "number": 0, "state": "complete", **TOLD},
        {"event": "tell", "number": 1, "state": "complete", **TOLD, "values": {"success_rate": 0.75}},
        {"event": "tell", "number": 2, "state": "pruned", **TOLD, "values": {}},
    )
    store.write(f"studies/{search.key}", {"state": "unfinished", "trials": [], "journal": name, "budget": 40})
    candidate = search.sweep.candidate(search.world, search.scale, {}, asked(3, 0.04)["params"])
    lease(store, ids.train_key(candidate))
    lines = shown(search, store)
    # 3 told, 1 runs, and to run are 36 candidates, 3 seeds of what is found and 3 of the default
    assert lines[2] == "trials: 3 done, 1 running, 0 failed, 42 to run"
    assert lines[3] == "  running  trial 3, seed 1000: no checkpoint yet"
    assert lines[4].startswith("search: 5 asked, 3 told (2 complete, 1 pruned); best success_rate so far 0.75 by trial")
    assert "trial 1: encoder=conv, predictor.dropout=0.1, predictor.size=small, terms.sigreg.weight=0.02" in lines[4]


def test_what_a_search_found_is_among_the_trials(search, store):
    found = {"default": {}, "tuned": {"terms.sigreg.weight": 0.02}}
    store.write(
        f"studies/{search.key}", {"state": "unfinished", "trials": [], "journal": None, "budget": 1, "found": found}
    )
    journal(store, search, asked(0), {"event": "tell", "number": 0, "state": "complete", **TOLD})
    assert shown(search, store)[2] == "trials: 1 done, 0 running, 0 failed, 6 to run"


def test_a_search_that_ended_within_its_budget_has_nothing_left_to_try(search, store):
    note = {"state": "unfinished", "trials": [], "journal": None, "budget": 40, "found": {"default": {}}}
    journal(store, search, asked(0), {"event": "tell", "number": 0, "state": "complete", **TOLD})
    store.write(f"studies/{search.key}", note)
    assert shown(search, store)[2].endswith("45 to run")  # 39 candidates, 3 seeds of the default and of what is found
    store.write(f"studies/{search.key}", {**note, "found": {"default": {}, "tuned": {"terms.sigreg.weight": 0.02}}})
    assert shown(search, store)[2].endswith(" 6 to run")


@pytest.mark.parametrize(
    "content", ["[]\n", "{}\n", '{"event": "ask"}\n', "nonsense\n", '{"event": "tell", "number": 0}\n']
)
def test_a_damaged_journal_is_said_to_be_and_the_rest_is_told(content, search, store):
    name = journal(store, search, asked(0))
    (store.root / "notes" / f"{name}.jsonl").write_text(content)
    lines = shown(search, store)
    assert [line for line in lines if line.startswith("search: its journal cannot be read")]
    assert lines[-1].startswith("next: ")


# --- the command line

LOADED = """
import json, sys
sys.path.insert(0, sys.argv[1])
from typer.testing import CliRunner
from study import run
results = [CliRunner().invoke(run.app, arguments) for arguments in json.loads(sys.argv[2])]
print(json.dumps([[result.exit_code, result.output] for result in results]))
print(json.dumps(sorted({"torch", "ray", "mlflow", "optuna", "matplotlib"} & {*sys.modules})))
"""


def test_the_command_line_shows_it_from_any_terminal_with_neither_torch_nor_ray_nor_a_file(store, tmp_path):
    store.write("studies/encoder", {"state": "unfinished", "trials": []})
    before = tree(tmp_path)
    commands = [
        ["--status", "--store", str(store.root)],
        ["--status", "--store", str(store.root), "--sweep", "encoder"],
        ["--status", "--store", str(store.root), "--sweep", "tune_lewm"],
        ["--status", "--store", str(tmp_path / "nowhere"), "--sweep", "tune_lewm", "--seeds", "2"],
    ]
    arguments = [sys.executable, "-c", LOADED, str(ROOT), json.dumps(commands)]
    found = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=True).stdout.splitlines()
    every, *ones = json.loads(found[0])
    assert json.loads(found[1]) == []
    assert every[0] == 0
    assert "encoder" in every[1]
    assert [code for code, _ in ones] == [0, 0, 0]
    assert ones[0][1].startswith("encoder: Does planning success depend")
    assert tree(tmp_path) == before
