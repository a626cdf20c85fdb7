"""Ctrl-C, Ctrl-C again and SIGTERM: everything ends, one line says how to go on, and the store is as it was left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from study import claim, cluster, interrupts
from study.candidates import Candidates
from study.plan import make_study
from trainables._lease import identity
from trainables.files import read_json, write_json
from trainables.store import Store

ROOT = Path(__file__).parents[2]
SEARCH = "tune_mixture"


def asked(store, name):
    return sum(line["event"] == "ask" for line in store.lines(name))


def ended(children):
    """Whether no child is left, soon."""
    psutil.wait_procs(children, timeout=15)
    return not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"])
def test_a_search_that_is_interrupted_again_and_again_ends_with_one_line(
    number, code, command, spawn, small, invoke, tmp_path
):
    """As a terminal does it: the whole process group gets the signal, twice."""
    arguments = command(tmp_path / "store", "--seeds", "1", "--budget", "3", sets={"optim.steps": 100_000})
    arguments[1] = SEARCH
    study = make_study(SEARCH, sets=small(**{"optim.steps": 100_000}).sets, seeds=1)
    driver = spawn(arguments, tmp_path)
    store = Store(tmp_path / "store")
    name = Candidates(study, store).key
    while not asked(store, name):
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.1)
    children = psutil.Process(driver.pid).children(recursive=True)
    for _ in range(2):
        os.killpg(driver.pid, number)
        time.sleep(0.3)
    _, errors = driver.communicate()
    assert driver.returncode == code, errors
    assert errors.splitlines()[-1] == "stopped; the same command goes on from here"
    assert "Traceback" not in errors
    assert ended(children)
    assert list(cluster.SCRATCH.glob(f"{cluster.PREFIX}{driver.pid}-*")) == []
    assert claim.read(study.key, store)["state"] == "unfinished"
    assert not [owner for owner in store.holders().values() if owner["alive"]]
    before = store.lines(name)
    told = invoke(*arguments, "--status")
    assert told.exit_code == 0
    assert "\nstopped\n" in told.stdout
    assert f"search: {len(before)} asked, 0 told" in told.stdout
    assert invoke(*arguments, "--plan").exit_code == 0
    assert store.lines(name) == before


def test_sigterm_is_told_from_ctrl_c_though_a_library_raises_the_one_as_the_other():
    def library(number):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None

    with pytest.raises(interrupts.TerminatedError), interrupts.stoppable():
        library(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as stopped, interrupts.stoppable():
        library(signal.SIGINT)
    assert stopped.type is KeyboardInterrupt


def test_a_library_does_not_take_sigterm_away():
    with interrupts.stoppable():
        with interrupts.kept():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with pytest.raises(interrupts.TerminatedError):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(interrupts.TerminatedError), interrupts.kept():
            raise SystemExit(15)
        with interrupts.shielded():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)


NOTE = """
import sys
from trainables._lease import identity
from trainables.files import write_json
write_json(sys.argv[1], identity())
"""


def test_the_scratch_of_the_dead_goes_and_nothing_else(monkeypatch, tmp_path):
    dead, alive, elsewhere, nobodys = (tmp_path / f"{cluster.PREFIX}{number}-x" for number in range(4))
    for folder in (dead, alive, elsewhere, nobodys):
        (folder / "session").mkdir(parents=True)
        (folder / "session_latest").symlink_to(folder / "session")
        (folder / "file").touch()
    subprocess.run([sys.executable, "-c", NOTE, str(dead / cluster.OWNER)], cwd=ROOT, check=True)
    write_json(alive / cluster.OWNER, identity())
    write_json(elsewhere / cluster.OWNER, read_json(dead / cluster.OWNER) | {"boot": "another machine's"})
    gone = tmp_path / f"{cluster.PREFIX}4-x"  # by another driver, in this moment
    monkeypatch.setattr(cluster, "SCRATCH", SimpleNamespace(glob=lambda names: [gone, *tmp_path.glob(names)]))
    cluster._remove_dead()
    assert sorted(tmp_path.iterdir()) == [alive, elsewhere, nobodys]


def test_scratch_that_is_still_written_to_goes_another_time(monkeypatch, tmp_path):
    folder = tmp_path / f"{cluster.PREFIX}1-x"
    (folder / "session").mkdir(parents=True)
    subprocess.run([sys.executable, "-c", NOTE, str(folder / cluster.OWNER)], cwd=ROOT, check=True)
    monkeypatch.setattr(cluster, "SCRATCH", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(cluster.shutil, "rmtree", lambda *arguments, **options: None)
        cluster._remove_dead()
    assert (folder / cluster.OWNER).exists()
    cluster._remove_dead()
    assert not folder.exists()
