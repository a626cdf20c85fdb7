"""Trials are handed out as the cluster has room, and nothing waits in silence."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest
from ray.tune.search import Searcher

from study import execute
from trainables.store import PassingError, StoreError, TakenOverError


class Asked:
    """Five trials for a cluster whose room changes."""

    def __init__(self):
        self.rooms, self.left = [1], 5
        self.joined = SimpleNamespace(waiting=lambda: "waiting for 1 x (1 GPU)")

    @property
    def source(self):
        return SimpleNamespace(finished=not self.left)

    def next(self):
        self.left -= 1
        return {"cell": str(self.left)}

    def room(self):
        return self.rooms[-1]


def test_as_many_trials_are_handed_out_as_there_is_room_for_by_now(monkeypatch):
    monkeypatch.setattr(execute, "LOOK_SECONDS", 0.0)
    asked = Asked()
    suggester = execute.Suggester(asked)
    assert suggester.suggest("a") and suggester.suggest("b") is None
    asked.rooms.append(3)
    assert suggester.suggest("b") and suggester.suggest("c") and suggester.suggest("d") is None
    asked.rooms.append(1)
    suggester.on_trial_complete("a", error=True)
    suggester.on_trial_complete("b")
    assert suggester.suggest("d") is None
    suggester.on_trial_complete("c")
    assert suggester.suggest("d")
    asked.rooms.append(None)
    assert suggester.suggest("e") and asked.left == 0


def test_after_the_last_trial_there_is_no_other():
    asked = Asked()
    asked.next, asked.left = lambda: None, 0
    assert execute.Suggester(asked).suggest("a") == Searcher.FINISHED


def test_what_is_waited_for_is_said_when_no_trial_has_said_anything_for_a_while(monkeypatch):
    said = []
    callback = execute.Callback(Asked(), [SimpleNamespace(waits=said.append)])
    callback.on_step_end(0, [])
    assert said == []
    monkeypatch.setattr(execute, "QUIET_SECONDS", 0.0)
    callback.on_step_end(1, [])
    assert said == ["waiting for 1 x (1 GPU)"]


@pytest.fixture
def failed(tmp_path):
    """The function that has a trial fail with an error; (what the source was told, what the listener was)."""

    def fail(error):
        told, heard = [], []
        asked = SimpleNamespace(
            of=lambda theirs: SimpleNamespace(config=None),
            source=SimpleNamespace(crashed=lambda trial, text, died: told.append(died)),
            sharing=SimpleNamespace(learn=lambda config: None),
        )
        (tmp_path / "error.pkl").write_bytes(execute.cloudpickle.dumps(error))
        (tmp_path / "error.txt").write_text(f"Traceback\n{error}\n")
        theirs = SimpleNamespace(
            config={"cell": '{"number": 0}'},
            error_file=str(tmp_path / "error.txt"),
            pickled_error_file=str(tmp_path / "error.pkl"),
        )
        listener = SimpleNamespace(again=lambda trial, why: heard.append(why))
        execute.Callback(asked, [listener]).on_trial_error(0, [], theirs)
        return told, heard

    return fail


def test_a_store_that_does_not_answer_one_node_costs_that_trial_a_new_start(failed):
    assert failed(PassingError("connection reset")) == ([True], ["connection reset"])
    assert failed(TakenOverError("it is another's")) == ([True], ["it is another's"])
    assert failed(ValueError("a mistake")) == ([False], ["a mistake"])


def test_a_store_that_refuses_stops_the_study(failed):
    with pytest.raises(StoreError, match="no valid key"):
        failed(StoreError("no valid key"))
    with pytest.raises(StoreError, match="cannot be written"):
        failed(OSError(errno.ENOSPC, "No space left on device"))
