"""A trial small enough for a test, and its episodes."""

from __future__ import annotations

import pytest
import torch

from tests._small import SMALLEST
from trainables import ids, pipeline
from trainables.paths import assign_all, base_config
from trainables.store import Store

TINY = SMALLEST | {"predictor.size": "tiny"}
PATCHES = {"encoder.weights": "random", "encoder.side": 28}  # of DINO-WM: four, of a network that nobody trained


def tiny_config(method: str = "smwm", world: str = "two_room", **changes):
    """A config of seconds; `changes` by path with "__" for the dots."""
    sets = {path.replace("__", "."): value for path, value in changes.items()}
    tiny = TINY if world == "two_room" else {k: v for k, v in TINY.items() if k != "data.steps"}
    if method == "dino_wm":
        tiny = {k: v for k, v in tiny.items() if not k.startswith(("encoder.", "projector."))} | PATCHES
    return assign_all(base_config(method, world, "local"), tiny | sets)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """What a sum comes to depends on how many threads share it."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny():
    """The function that makes small configs."""
    return tiny_config


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Store:
    """A store that the tests of a session share, so that episodes are recorded once."""
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def data(shelf):
    """The function that gives a config's episodes by split."""
    return lambda config: {split: pipeline.ensure_data(config, shelf, split) for split in ids.SPLITS}
