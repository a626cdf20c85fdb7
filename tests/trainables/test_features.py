"""A frozen encoder: nothing of it moves, and what it says of recorded frames is computed once and stands for them."""

import logging
import pickle
import re
import shutil

import numpy as np
import pytest
import torch

from envs._episodes import Clips, Episodes
from trainables import features, ids, pipeline
from trainables.measures._trained import Trained
from trainables.model import WorldModel
from trainables.paths import assign, assign_all
from trainables.store import Store
from trainables.training import Run


@pytest.fixture(scope="module")
def config(tiny):
    return tiny("dino_wm")


@pytest.fixture(scope="module")
def plain(config, data):
    return data(config)


@pytest.fixture(scope="module")
def seen(config, plain, shelf):
    return features.ensure(config, shelf, plain)


def start(config, data):
    clips = Clips(features.episodes(data, "train"), config.clip, config.frameskip)
    return Run(config, clips, features.episodes(data, "validation"))


def losses(run, steps=5):
    assert [run.advance() for _ in range(steps)] == ["ok"] * steps
    return run.history["loss"]


def untouched(*_):
    raise AssertionError("these features were computed again")


# --- frozen


def test_nothing_of_a_frozen_encoder_moves_is_trained_or_saved(config, plain):
    run = start(config, plain)
    held = run.model.encoder.held[0]
    before = {name: tensor.clone() for name, tensor in held.state_dict().items()}
    losses(run)
    assert before and all(torch.equal(tensor, before[name]) for name, tensor in held.state_dict().items())
    assert not held.training and all(p.grad is None and not p.requires_grad for p in held.parameters())
    assert not any(name.startswith("encoder") for name in run.model.state_dict())
    own = sum(p.numel() for p in run.model.parameters())
    assert sum(p.numel() for p in run.parameters) == own
    assert run.model.size() == own + sum(p.numel() for p in held.parameters()) > 20e6


def test_a_frozen_encoder_follows_its_model_to_another_device_or_precision(config):
    model = WorldModel(config, 2).to(torch.float64)
    assert {p.dtype for p in model.encoder.held[0].parameters()} == {torch.float64}


def test_an_encoder_that_is_fine_tuned_moves_and_is_saved_and_keeps_no_features(config, plain, shelf):
    tuned = assign(config, "encoder.frozen", False)
    assert not tuned.encoder.cached and features.ensure(tuned, shelf, plain) == plain
    run = start(tuned, plain)
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    losses(run, 2)
    moved = {name for name, tensor in run.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"encoder.vit.cls_token", "encoder.vit.blocks.0.attn.qkv.weight", "encoder.vit.pos_embed"} <= moved
    assert ids.train_key(tuned) != ids.train_key(config)


def test_a_frozen_class_token_goes_with_other_objectives(tiny, data, shelf):
    changes = {"encoder": "dinov2", "encoder.weights": "random", "encoder.side": 28, "encoder.tokens": "class"}
    config = assign_all(tiny("smwm"), changes)
    run = start(config, features.ensure(config, shelf, data(config)))
    assert run.clips.episodes.pixels(np.arange(3)).shape == (3, 1, 384)
    assert np.isfinite(losses(run)).all()


def test_a_term_that_needs_the_frames_is_given_none_of_a_frozen_encoder(config, seen):
    run, given = start(config, seen), []
    run.objective._term = lambda name, batch: given.append(batch.pixels) or batch.z.sum() * 0
    run.objective(*run._next_batch(), 0)
    assert given == [None]


# --- kept


def test_features_are_the_encoders_rounded_to_half_precision(config, plain, seen):
    model = WorldModel(config, 2).eval()
    rows = np.array([0, 5, 3, 101, 5])
    kept = features.episodes(seen, "train").pixels(rows)
    assert kept.shape == (5, 4, 384) and kept.dtype == np.float16
    pixels = Episodes(plain["train"]).pixels(rows)
    told = model.features(torch.from_numpy(pixels).movedim(-1, 1)).numpy()
    assert np.abs(kept - told).max() <= np.abs(told).max() * 2**-11 + 1e-4 and told.std() > 0.5


def test_training_on_kept_features_is_training_through_the_encoder(config, plain, seen):
    direct, kept = start(config, plain), start(config, seen)
    assert kept.initial_variance == pytest.approx(direct.initial_variance, rel=1e-4)
    assert losses(kept, 12) == pytest.approx(losses(direct, 12), rel=1e-3)
    one, other = (run.model.encode(run._next_batch()[0]).flatten(1) for run in (direct, kept))
    assert torch.allclose(one, other, atol=2e-3)
    assert (torch.cdist(one, other) + torch.eye(len(one))).min() > 0.1  # no other clip would do


def test_measures_see_kept_features_of_the_frames_that_they_ask_for(config, plain, seen):
    class Live(Trained):
        model = WorldModel(config, 2).eval()

    rows = np.array([7, 1, 200])
    one, other = (Live(None, data).latents("test", rows) for data in (plain, seen))
    assert one.shape == (3, 4 * 384) and torch.allclose(one, other, atol=5e-3)
    assert not torch.allclose(other[0], other[2], atol=5e-2)


def test_features_are_computed_once_for_all_that_see_the_same_frames_alike(config, plain, seen, shelf, monkeypatch):
    monkeypatch.setattr(features, "compute", untouched)
    for changes in ({"seed": 5}, {"optim.lr": 1e-3}, {"predictor.size": "base"}, {"history": 2}):
        assert features.ensure(assign_all(config, changes), Store(shelf.root), plain) == seen
    for changes in ({"encoder.side": 42}, {"encoder.tokens": "class"}, {"data.seed": 1}):
        other = assign_all(config, changes)
        assert ids.features_key(other, "train") != ids.features_key(config, "train")
    with pytest.raises(AssertionError, match="computed again"):
        features.ensure(assign(config, "encoder.side", 42), shelf, plain)


def test_every_split_has_its_own_and_a_search_finds_those_of_validation_under_test(seen):
    names = [f"features/{split}" for split in ids.SPLITS]
    assert len({seen[name] for name in names}) == 3
    swapped = features.judged(seen, "validation")
    assert (swapped["test"], swapped["features/test"]) == (seen["validation"], seen["features/validation"])
    assert features.judged(seen, "test") == seen
    assert "features/test" not in features.judged({name: seen[name] for name in ids.SPLITS}, "validation")


def test_episodes_with_features_are_sent_by_name(seen):
    episodes = features.episodes(seen, "train")
    content = pickle.dumps(episodes)
    assert len(content) < 2000
    rows = np.arange(4)
    assert np.array_equal(pickle.loads(content).pixels(rows), episodes.pixels(rows))
    assert np.array_equal(episodes.states(rows), Episodes(seen["train"]).states(rows))


def test_a_killed_computation_is_taken_up_where_it_was(config, plain, seen, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "FRAMES_AT_ONCE", 50)
    monkeypatch.setattr(features, "SAVE_SECONDS", 0.0)
    out = tmp_path / "out"
    out.mkdir()
    config, steps = assign(config, "data.seed", 0), []

    def killed(done, total):
        if done == 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features.compute(config, plain["train"], out, killed)
    assert not list(out.iterdir())
    features.compute(config, plain["train"], out, lambda done, total: steps.append((done, total)))
    assert steps[0] == (200, 408) and steps[-1] == (408, 408)  # the note of 150 was the last
    kept = [np.load(folder / features.FILE_NAME) for folder in (out, seen["features/train"])]
    assert np.allclose(*kept, atol=2e-3)


def test_features_that_half_precision_cannot_hold_are_refused():
    assert features._half(np.array([6e4, -1.0])).dtype == np.float16
    for value in (7e4, -np.inf, np.nan):
        with pytest.raises(ValueError, match=r"set encoder\.cached=false"):
            features._half(np.array([value]))


def test_features_for_which_there_is_no_room_are_not_begun(config, plain, seen, tmp_path, monkeypatch):
    size, usage, out = 408 * 4 * 384 * 2, shutil.disk_usage(tmp_path), tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=size - 1) if folder == tmp_path else 0)
    message = (
        "features of 0.00125 GB (408 x 4 x 384 x 2 bytes) are more than the 0.00125 GB that are free on the disk of"
    )
    with pytest.raises(ValueError, match=re.escape(f"{message} {tmp_path}: make room or set encoder.cached=false")):
        features.compute(config, plain["train"], out, untouched)
    assert list(tmp_path.iterdir()) == [out]
    (tmp_path / features.FILE_NAME).write_bytes(b"x")  # of an earlier try, which is written over
    features.compute(config, plain["train"], out, lambda *_: None)
    assert (out / features.FILE_NAME).stat().st_size > size


def test_damaged_features_are_computed_again(config, tmp_path, caplog):
    config, store = assign(config, "data.episodes", 7), Store(tmp_path)
    plain = {split: pipeline.ensure_data(config, store, split) for split in ids.SPLITS}
    kept = features.ensure(config, store, plain)["features/train"] / features.FILE_NAME
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = features.ensure(config, Store(tmp_path), plain)["features/train"] / features.FILE_NAME
    assert features.FILE_NAME in caplog.text and again.read_bytes() != bytes(content)
