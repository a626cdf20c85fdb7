"""Trials are handed out as the cluster has room, and nothing waits in silence."""

from __future__ import annotations

from types import SimpleNamespace

from ray.tune.search import Searcher

from study import execute


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
