"""One driver per study: the second one is refused, a dead one's study is taken over, and a note says what it needs."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time

import pytest

from study import claim
from trainables import ids
from trainables.store import Store, StoreError, flat

HOLD = """
import sys, time
from trainables.store import Store
with Store(sys.argv[1]).attempt(sys.argv[2]) as owner:
    print(owner, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def driver():
    """The function that starts a process which holds a lease of the store: driver(root, name)."""
    started = []

    def start(root, name):
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(root), name], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "None\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def store(done, tmp_path):
    """A copy of the store in which three seeds are done."""
    return Store(
        shutil.copytree(done.root, tmp_path / "store", ignore=shutil.ignore_patterns("reports", "mlflow.db", "notes"))
    )


def test_a_second_driver_is_refused_and_a_dead_ones_study_is_taken_over_at_once(command, invoke, driver, small, store):
    first = driver(store.root, f"studies/{small().key}")
    refused = invoke(*command(store.root, "--seeds", "2"))
    assert refused.exit_code == 2
    for words in (f"process {first.pid} on {socket.gethostname()} since", "--status", f"sweep: {small().key}"):
        assert words in refused.stderr
    assert not (store.root / "mlflow.db").exists()
    assert claim.read(small().key, store) is None
    first.kill()
    first.wait()
    assert invoke(*command(store.root, "--seeds", "2")).exit_code == 0
    assert store.holders() == {}


def test_a_driver_that_stood_still_learns_who_took_over(small, tmp_path):
    store, study = Store(tmp_path, stale=0.3), small()
    file = tmp_path / "leases" / flat(f"studies/{study.key}")
    with claim.claimed(study, store) as check:
        check()
        owner = json.loads(file.read_text())
        file.write_text(json.dumps(owner | {"token": "other", "host": "elsewhere", "pid": 7}))
        end = time.monotonic() + 10
        while store.holds(f"studies/{study.key}") and time.monotonic() < end:
            time.sleep(0.01)
        with pytest.raises(StoreError, match=r"was taken over by process 7 on elsewhere since .* stood still"):
            check()
        file.unlink()
        with pytest.raises(StoreError, match=f"the lease of {study.key} was taken over or removed"):
            check()


def test_another_study_of_the_store_is_not_held_up(command, invoke, driver, small, store):
    driver(store.root, f"studies/{small(**{'optim.lr': 0.001}).key}")
    assert invoke(*command(store.root, "--seeds", "2")).exit_code == 0


def test_the_note_says_what_the_study_is_and_needs(command, invoke, small, store):
    study = small(seeds=2)
    note = claim.Note(study, store, budget=None, journal=None)
    note.begin(study.trials[:1], {})
    trainings = [ids.train_key(trial.config).removeprefix("train/") for trial in study.trials]
    assert claim.read(study.key, store)["trials"] == trainings[:1]
    for _ in range(2):
        note.started(study.trials[1])
    found = claim.read(study.key, store)
    assert (found["state"], found["trials"]) == ("unfinished", trainings[:2])
    assert (found["sweep"], found["world"], found["scale"]) == ("projector_norm", "two_room", "local")
    assert (found["sets"], found["seeds"]) == (study.sets, [0, 1])
    assert invoke(*command(store.root, "--seeds", "2")).exit_code == 0
    found = claim.read(study.key, store)
    assert (found["state"], sorted(found["trials"])) == ("complete", sorted(trainings))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"state": "complete"}', '{"state": "x", "trials": []}', "\0"])
def test_a_note_that_cannot_be_read_is_none_and_is_written_anew(content, command, invoke, small, store):
    key = small(seeds=2).key
    store.write(f"studies/{key}", {})
    (store.root / "notes" / "studies" / f"{key}.json").write_text(content)
    assert claim.notes(store) == {key: None}
    assert invoke(*command(store.root, "--seeds", "2")).exit_code == 0
    assert claim.read(key, store)["state"] == "complete"
