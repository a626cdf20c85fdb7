"""Training repeats itself bit for bit, also when it was stopped, and says when it diverged."""

import json
import logging
from itertools import pairwise

import numpy as np
import pytest
import torch

from envs._episodes import Clips, Episodes
from trainables import checkpoint, plugins, training
from trainables.files import read_json
from trainables.training import Run, learning_rate


def start(config, data):
    folders = data(config)
    return Run(
        config, Clips(Episodes(folders["train"]), config.clip, config.frameskip), Episodes(folders["validation"])
    )


def weights(run):
    return {name: tensor.clone() for name, tensor in run.model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def advance(run, steps):
    for _ in range(steps):
        assert run.advance() == "ok"
    return run


@pytest.mark.parametrize("method", plugins.names("methods"))
def test_every_method_learns_and_its_gradient_reaches_the_encoder(method, tiny, data):
    config = tiny(method, optim__steps=60, optim__lr=3e-3)
    run = start(config, data)
    before = weights(run)
    advance(run, 60)
    assert np.mean(run.history["loss"][-10:]) < np.mean(run.history["loss"][:10])
    moved = {name for name, tensor in weights(run).items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("encoder.") for name in moved) != config.frozen


def test_the_same_config_gives_the_same_bits(tiny, data):
    one, two = (advance(start(tiny("lewm"), data), 6) for _ in range(2))
    assert same(weights(one), weights(two)) and one.history == two.history


def test_another_seed_gives_other_weights_and_batches(tiny, data):
    one, two = (start(tiny("smwm", seed=seed), data) for seed in (0, 1))
    assert not torch.equal(weights(one)["encoder.0.weight"], weights(two)["encoder.0.weight"])
    assert not np.array_equal(next(one._batches), next(two._batches))


def test_training_does_not_depend_on_nor_disturb_the_global_generator(tiny, data):
    torch.manual_seed(1)
    one = advance(start(tiny("smwm"), data), 3)
    state = torch.get_rng_state()
    two = advance(start(tiny("smwm"), data), 3)
    assert torch.equal(state, torch.get_rng_state())
    assert same(weights(one), weights(two))


@pytest.mark.parametrize("method", ["smwm", "lewm"])
def test_a_resumed_training_continues_bit_for_bit_as_if_it_had_not_stopped(method, tiny, data, tmp_path):
    config = tiny(method, optim__steps=200)
    whole = advance(start(config, data), 40)
    stopped = advance(start(config, data), 17)
    stopped.save(tmp_path, seconds=3.0)
    resumed = start(config, data)
    assert resumed.resume(tmp_path) == 3.0 and resumed.step == 17
    advance(resumed, 23)
    assert same(weights(whole), weights(resumed)) and whole.history == resumed.history


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "json"])
def test_a_damaged_checkpoint_is_not_used(damage, tiny, data, tmp_path, caplog):
    run = advance(start(tiny("smwm"), data), 2)
    run.save(tmp_path, seconds=1.0)
    file = next(tmp_path.glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    {
        "flip": lambda: file.write_bytes(content),
        "cut": lambda: file.write_bytes(content[:100]),
        "gone": file.unlink,
        "json": lambda: (tmp_path / "checkpoint.json").write_text("{"),
    }[damage]()
    with caplog.at_level(logging.WARNING):
        fresh = start(tiny("smwm"), data)
        assert fresh.resume(tmp_path) == 0.0 and fresh.step == 0
    assert "cannot be used" in caplog.text


def test_only_the_newest_checkpoint_is_kept(tiny, data, tmp_path):
    run = start(tiny("smwm"), data)
    for _ in range(3):
        advance(run, 1).save(tmp_path, seconds=1.0)
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["checkpoint-3.safetensors"]


def test_a_loss_that_is_not_finite_ends_as_diverged_and_is_recorded(tiny, data, tmp_path):
    config = tiny("smwm", optim__lr=1.0, optim__clip=1e30, terms__inverse__weight=1e30, optim__steps=200)
    out = tmp_path / "out"
    out.mkdir()
    training.train(config, data(config), tmp_path, out)
    result, history = read_json(out / "result.json"), read_json(out / "history.json")
    assert result["status"] == "diverged" and result["steps"] < 200
    assert None in [history["loss"][-1], history["gradient_norm"][-1]]


def test_an_epoch_shows_every_clip_at_most_once(tiny, data):
    run = start(tiny("smwm"), data)
    per_epoch = len(run.clips) // 16
    batches = [next(run._batches) for _ in range(2 * per_epoch)]
    for epoch in (batches[:per_epoch], batches[per_epoch:]):
        assert len(np.unique(np.concatenate(epoch))) == 16 * per_epoch
    assert not np.array_equal(batches[0], batches[per_epoch])


def test_the_learning_rate_warms_up_then_falls_to_zero_step_by_step(tiny):
    config = tiny("smwm", optim__steps=1000, optim__lr=1.0, optim__warmup=0.01)
    rates = [learning_rate(config, step) for step in range(1000)]
    assert rates[0] == 0.1 and rates[9] == 1.0 and max(rates) == 1.0
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[-1] < 1e-4 and rates[505] == pytest.approx(0.5, abs=0.001)


def test_the_saved_normaliser_holds_the_training_actions_mean_and_unbiased_deviation(tiny, data):
    config = tiny("smwm")
    run = start(config, data)
    episodes = Episodes(data(config)["train"])
    actions = episodes.actions(np.arange(episodes.rows))
    actions = actions[~np.isnan(actions).any(1)].astype(float)
    assert run.model.normaliser.mean.tolist() == pytest.approx(np.tile(actions.mean(0), 5).tolist(), abs=1e-6)
    assert run.model.normaliser.std.tolist() == pytest.approx(np.tile(actions.std(0, ddof=1), 5).tolist(), rel=1e-5)
    assert "normaliser.mean" in run.model.state_dict()


def test_measuring_the_initial_variance_leaves_the_model_as_it_was(tiny, data):
    run = start(tiny("smwm"), data)
    before = weights(run)
    again = training.initial_variance(run.model, Episodes(data(tiny("smwm"))["validation"]), 0)
    assert again == run.initial_variance > 0
    assert same(before, weights(run))


def test_a_diverged_training_leaves_no_checkpoint_behind_even_when_one_is_due(tiny, data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    config = tiny("smwm", optim__lr=1.0, optim__clip=1e30, optim__weight_decay=1e30, optim__steps=200)
    training.train(config, data(config), tmp_path, tmp_path)
    assert read_json(tmp_path / "result.json")["status"] == "diverged"


def test_checkpoints_of_groups_are_told_apart():
    joined = checkpoint.join(model={"a": torch.zeros(1)}, optimiser={"a": torch.ones(1)})
    assert checkpoint.part(joined, "optimiser")["a"].item() == 1


def test_the_finished_training_says_what_it_did(tiny, data, tmp_path):
    config = tiny("smwm")
    seen = []
    training.train(config, data(config), tmp_path, tmp_path, seen.append)
    assert json.loads((tmp_path / "config.json").read_text())["terms"]["inverse"]["weight"] == 0.1
    assert [event["step"] for event in seen] == list(range(1, 13))
    assert read_json(tmp_path / "result.json")["parameters"] > 1000
