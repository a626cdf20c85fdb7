"""The first fifty losses of every method: a change that moves them must raise `ids.TRAIN_RECIPE` and record them anew
with `python -m tests.trainables.test_golden_trace`."""

import json
import tempfile
from pathlib import Path

import pytest
import torch

from envs._episodes import Clips, Episodes
from envs._recording import Recording, record
from trainables import ids, plugins, training

GOLDEN = Path(__file__).with_name("golden_trace.json")

# Processors differ in the last bits of a sum, and Adam at a high rate makes that grow.
SLOW = {"optim__steps": 500, "optim__lr": 1e-4}


def trace(config, folder: Path) -> list[float]:
    torch.set_num_threads(1)
    for split in ("train", "validation"):
        record(Recording("two_room", split, episodes=8, steps=50, size=32, seed=0), folder / split)
    clips = Clips(Episodes(folder / "train"), config.clip, config.frameskip)
    run = training.Run(config, clips, Episodes(folder / "validation"))
    for _ in range(50):
        run.advance()
    return run.history["loss"]


@pytest.mark.parametrize("method", plugins.names("methods"))
def test_the_first_fifty_losses_are_those_of_the_recipe_version(method, tiny, tmp_path):
    golden = json.loads(GOLDEN.read_text())
    assert golden["recipe"] == ids.TRAIN_RECIPE, "record the traces of the new recipe version"
    assert trace(tiny(method, **SLOW), tmp_path) == pytest.approx(golden[method], rel=1e-3)


if __name__ == "__main__":
    from tests.trainables.conftest import tiny_config

    traces = {}
    for name in plugins.names("methods"):
        with tempfile.TemporaryDirectory() as scratch:
            traces[name] = trace(tiny_config(name, **SLOW), Path(scratch))
    GOLDEN.write_text(json.dumps({"recipe": ids.TRAIN_RECIPE, **traces}, indent=1) + "\n")
