"""Episodes are recorded before the trials start, each data set once, and what goes wrong is said at once."""

import pytest

from study import collect
from trainables import ids
from trainables.paths import assign, base_config
from trainables.settings import ConfigError
from trainables.store import Store

SETS = {"data.episodes": 40, "data.held_out": 33, "data.steps": 50, "data.image_size": 16}


@pytest.fixture
def config():
    found = base_config("smwm", "two_room", "local")
    for path, value in {**SETS, "protocol.tasks": 5, "optim.batch": 8}.items():
        found = assign(found, path, value)
    return found


@pytest.fixture
def here(monkeypatch):
    """Parts are made in this process."""
    looked = []

    def over(check):
        def each(function, items):
            for item in items:
                check()
                yield function(item)

        return each

    monkeypatch.setattr(collect, "over_ray", over)
    return looked


def test_every_split_is_recorded_once_and_counted(config, here, tmp_path):
    store, told, checks = Store(tmp_path), [], []
    other = assign(config, "optim.lr", 1e-4)  # learns from the same episodes
    collect.collect([config, other], store, lambda *now: told.append(now), lambda: checks.append(1))
    assert told == [
        ("two_room, train", 32, 40),
        ("two_room, train", 40, 40),
        ("two_room, validation", 32, 33),
        ("two_room, validation", 33, 33),
        ("two_room, test", 32, 33),
        ("two_room, test", 33, 33),
    ]
    assert len(checks) == 6
    assert all(store.get(ids.data_key(config, split)) for split in ids.SPLITS)
    collect.collect([config], store, lambda *now: told.append(now), lambda: None)
    assert len(told) == 6


def test_a_world_that_cannot_be_drawn_stops_the_study_in_words(config, here, tmp_path, monkeypatch):
    import envs

    def draw(*_):
        raise ImportError("drawing needs EGL: apt-get install libegl1")

    monkeypatch.setattr(type(envs.load("two_room")), "draw", draw)
    with pytest.raises(ConfigError, match="data: two_room, train: drawing needs EGL: apt-get install libegl1"):
        collect.collect([config], Store(tmp_path), lambda *now: None, lambda: None)


def test_an_error_of_the_driver_s_own_check_ends_the_recording_and_its_parts_stay(config, here, tmp_path):
    store, calls = Store(tmp_path), []

    def check():
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect.collect([config], store, lambda *now: None, check)
    told = []
    collect.collect([config], store, lambda *now: told.append(now), lambda: None)
    assert told[0] == ("two_room, train", 40, 40)  # the first part was there
