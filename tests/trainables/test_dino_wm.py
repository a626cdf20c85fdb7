"""DINO-WM: its preset at every scale, its predictor over patches, and a whole trial without trained weights."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from trainables import features, ids, pipeline, planning, plugins
from trainables.measures._trained import load_model
from trainables.measures.latent_spectrum import eigenvalues
from trainables.model import WorldModel
from trainables.paths import assign, assign_all, base_config
from trainables.predictors import patch
from trainables.store import Store

SIZES = {"size": "custom", "depth": 2, "heads": 2, "head_dim": 4, "mlp": 16, "dropout": 0.0}
DIM, CONDITION, HISTORY, PATCHES = 6, 3, 3, 4


@pytest.fixture
def network():
    torch.manual_seed(0)
    config = patch.Config(width=DIM + CONDITION, **SIZES)
    return patch.build(config, DIM, CONDITION, HISTORY, PATCHES).eval()


def given():
    generator = torch.Generator().manual_seed(1)
    shapes = (2, HISTORY, PATCHES, DIM), (2, HISTORY, CONDITION)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def changed(network, z, condition, other_z, other_condition):
    """(T, P), whether the prediction of that frame and patch is another one."""
    with torch.no_grad():
        before, after = network(z, condition), network(other_z, other_condition)
    assert before.shape == (2, HISTORY, PATCHES, DIM)
    return ((before - after).abs() > 1e-6).any(-1).any(0)


# --- the predictor


@pytest.mark.parametrize("frame", range(HISTORY))
@pytest.mark.parametrize("number", [0, 3])
def test_a_patch_is_seen_by_all_patches_of_its_frame_and_of_later_ones_alone(frame, number, network):
    z, condition = given()
    other = z.clone()
    other[:, frame, number] += 1
    expected = torch.arange(HISTORY)[:, None].expand(-1, PATCHES) >= frame
    assert torch.equal(changed(network, z, condition, other, condition), expected)


@pytest.mark.parametrize("frame", range(HISTORY))
def test_an_action_reaches_every_patch_of_its_frame_and_of_later_ones_alone(frame, network):
    z, condition = given()
    other = condition.clone()
    other[:, frame] += 1
    expected = torch.arange(HISTORY)[:, None].expand(-1, PATCHES) >= frame
    assert torch.equal(changed(network, z, condition, z, other), expected)


def test_patches_and_frames_have_their_places(network):
    z, condition = given()
    same = z[:, :1, :1].expand_as(z)
    with torch.no_grad():
        flat = network(same, condition[:, :1].expand_as(condition)).flatten(1, 2)
    distances = torch.cdist(flat[0], flat[0]) + torch.eye(HISTORY * PATCHES)
    assert distances.min() > 1e-3  # twelve tokens that differ in their positions alone


def test_fewer_frames_than_the_history_are_those_at_its_beginning(network):
    z, condition = given()
    with torch.no_grad():
        assert torch.allclose(network(z[:, :2], condition[:, :2]), network(z, condition)[:, :2], atol=1e-6)


def test_at_the_width_of_latent_and_action_together_nothing_is_mapped():
    same, other = (patch.build(patch.Config(width=width, **SIZES), DIM, CONDITION, 1, 2) for width in (9, 8))
    assert not list(same.enter.parameters()) and not list(same.leave.parameters())
    assert (other.enter.weight.shape, other.leave.weight.shape) == ((8, 9), (DIM, 8))
    for net in (same, other):
        assert net(torch.randn(5, 1, 2, DIM), torch.randn(5, 1, CONDITION)).shape == (5, 1, 2, DIM)


def test_dropout_is_in_attention_and_mlp_while_training_alone():
    config = patch.Config(width=9, **SIZES | {"dropout": 0.5})
    net, (z, condition) = patch.build(config, DIM, CONDITION, HISTORY, PATCHES), given()
    assert not torch.equal(net(z, condition), net(z, condition))
    assert torch.equal(net.eval()(z, condition), net(z, condition))


# --- the preset


@pytest.mark.parametrize("scale", plugins.names("scales"))
def test_the_preset_has_the_sizes_of_its_scale(scale):
    config, sizes = base_config("dino_wm", "two_room", scale), plugins.load("scales", scale).SIZES
    assert set(config.terms) == {"forward"} and config.history == 1 and config.action_width == 10
    assert config.frozen and config.encoder.cached and config.encoder.weights == "hub"
    assert config.projector.identity and config.projector.dim == config.encoder.features == 384
    assert config.encoder.side == sizes["encoder.dinov2"]["side"]
    assert (config.predictor.name, config.predictor.size) == ("patch", "small")
    named = config.predictor.model_dump(exclude={"name", "size", "dropout"})
    assert named == sizes["predictor.patch.size"]["small"] and config.predictor.dropout == 0.1


def test_at_paper_it_is_dino_wms_network():
    model = WorldModel(assign(base_config("dino_wm", "two_room", "paper"), "encoder.weights", "random"), 2)
    net = model.predictor
    # Per block: qkv and out of 16 heads of 64 with a norm, MLP of 2048 with a norm; then the last norm, and positions.
    block = 394 * 3 * 1024 + 1024 * 394 + 394 + 2 * 394 + 2 * 394 * 2048 + 2048 + 394 + 2 * 394
    assert sum(p.numel() for p in net.parameters()) == 6 * block + 2 * 394 + 196 * 394
    assert len(net.blocks) == 6 and model.encoder.patches == 196
    assert not list(model.projector.parameters()) and not list(model.prediction_projector.parameters())


@pytest.mark.parametrize("scale", plugins.names("scales"))
def test_another_method_takes_nothing_of_it_along(scale):
    lewm, dino = (base_config(method, "two_room", scale) for method in ("lewm", "dino_wm"))
    assert assign(lewm, "method", "dino_wm") == dino
    assert assign(dino, "method", "lewm") == lewm
    kept = assign(assign_all(lewm, {"optim.batch": 64, "seed": 3}), "method", "dino_wm")
    assert kept == assign_all(dino, {"optim.batch": 64, "seed": 3})


def test_predictors_and_their_sizes_go_by_name():
    lewm, dino = (base_config(method, "two_room", "local") for method in ("lewm", "dino_wm"))
    sizes = plugins.load("scales", "local").SIZES
    for size in ("tiny", "base"):
        assert assign(dino, "predictor.size", size).predictor.width == sizes["predictor.patch.size"][size]["width"]
        assert assign(lewm, "predictor.size", size).predictor.width == sizes["predictor.size"][size]["width"]
    mixed = assign_all(lewm, {"predictor": "patch", "predictor.size": "tiny"})
    assert (mixed.predictor.name, mixed.predictor.mlp) == ("patch", sizes["predictor.patch.size"]["tiny"]["mlp"])
    assert assign(dino, "predictor.depth", 7).predictor.size == "custom"
    assert assign(dino, "predictor.mlp", dino.predictor.mlp).predictor.size == "small"


def test_a_latent_that_is_not_what_the_encoder_says_is_refused_before_anything_is_built():
    dino = base_config("dino_wm", "two_room", "local")
    for changes in ({"encoder": "conv"}, {"projector.dim": 64}):
        with pytest.raises(
            ValueError, match=r"projector\.dim=\d+: with projector\.identity the latent is what the enc"
        ):
            assign_all(dino, changes)
    assert assign_all(dino, {"encoder": "conv", "projector.dim": 128}).projector.identity


# --- the trial


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    config, store, events = tiny("dino_wm"), Store(tmp_path_factory.mktemp("dino")), []
    return config, store, pipeline.run_trial(config, store, progress=events.append), events


def test_a_trial_is_trained_on_kept_features_and_planned_through_the_encoder(made):
    config, store, record, events = made
    assert record["status"] in ("ok", "collapsed") and record["steps"] == 12 and len(record["tasks"]) == 10
    assert record["measures"]["variance_kept"] == pytest.approx(1, rel=0.3)  # frozen: it cannot collapse
    assert 0 <= record["measures"]["success_rate"] <= 1 and record["measures"]["probe_r2"] > 0.3
    assert record["parameters"] > 21e6
    phases = [event["phase"] for event in events]
    assert phases.index("features") < phases.index("train")
    last = [event for event in events if event["phase"] == "features" and event["split"] == "train"][-1]
    assert last["done"] == last["total"] == 8 * 51
    assert all(store.get(ids.features_key(config, split)) for split in ids.SPLITS)


def test_its_checkpoint_holds_no_frozen_weights(made):
    config, store, _, _ = made
    file = store.get(ids.train_key(config)) / pipeline.WEIGHTS
    with safe_open(file, "pt") as opened:
        names = set(opened.keys())
    assert not any(name.startswith("encoder") for name in names) and "predictor.position" in names
    assert file.stat().st_size < 2e6


def test_other_seeds_and_measures_make_no_features_again(made, monkeypatch):
    def untouched(*_):
        raise AssertionError("this stage was made again")

    config, store, record, _ = made
    monkeypatch.setattr(features, "compute", untouched)
    again = pipeline.run_trial(config, Store(store.root), train=untouched, map=untouched)
    assert again["measures"] == record["measures"]
    assert pipeline.run_trial(assign(config, "seed", 1), store)["steps"] == 12
    other = assign(config, "measures.probe_r2.fit", 150)
    assert pipeline.run_trial(other, store, train=untouched, map=untouched)["measures"]["probe_r2"] is not None


def test_a_plan_costs_what_it_costs_however_many_tasks_are_rolled_out_together(made, monkeypatch):
    config, store, record, _ = made
    monkeypatch.setattr(planning, "TOKENS_AT_ONCE", 1)
    apart = assign(config, "protocol.plan_seed", 0)
    monkeypatch.setattr(plugins.load("measures", "success_rate"), "VERSION", 99)
    again = pipeline.run_trial(apart, store)["tasks"]
    assert again == record["tasks"]


def test_several_frames_of_history_are_trained_and_planned_alike(tiny, tmp_path, made):
    _, store, _, _ = made
    config = tiny("dino_wm", history=2)
    assert config.context == 2 and pipeline.run_trial(config, store)["measures"]["success_rate"] >= 0


@pytest.fixture
def weights(tmp_path):
    """A file of DINOv2's shape."""
    vit = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0, img_size=518)
    save_file(vit.state_dict(), tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def untrained(*_):
    raise AssertionError("this was trained again")


def elsewhere(function, items):
    """As planning actors have it: what they are to do is sent to them."""
    return [pickle.loads(pickle.dumps(function))(item) for item in items]


def planned(config, store):
    """The trial with success rate beside what it was measured by before."""
    more = assign(config, "measures.success_rate", "success_rate")
    return pipeline.run_trial(more, store, train=untrained, map=elsewhere)["measures"]["success_rate"]


def test_weights_that_moved_since_the_training_are_found_where_they_are(tiny, weights, tmp_path):
    config, store = tiny("dino_wm", encoder__weights=str(weights), measures__success_rate=None), Store(tmp_path)
    pipeline.run_trial(config, store)
    weights.rename(tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"no weights: there is no file .*a\.safetensors"):
        planned(config, store)
    assert planned(assign(config, "encoder.weights", str(tmp_path / "b.safetensors")), store) >= 0


def test_an_encoder_that_was_fine_tuned_needs_its_first_weights_no_more(tiny, weights, tmp_path):
    changes = {"encoder__frozen": False, "optim__steps": 3, "measures__success_rate": None}
    config, store = tiny("dino_wm", encoder__weights=str(weights), **changes), Store(tmp_path)
    pipeline.run_trial(config, store)
    weights.unlink()
    assert planned(config, store) >= 0
    folder = store.get(ids.train_key(config))
    model, saved = load_model(folder), load_file(folder / pipeline.WEIGHTS)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())


def test_a_machine_without_weights_is_told_so_before_anything_is_recorded(tmp_path):
    command = [sys.executable, "-m", "trainables.train", "--method", "dino_wm", "--store", str(tmp_path / "runs")]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: no weights: timm/vit_small_patch14_dinov2.lvd142m")
    assert not (tmp_path / "runs" / "data").exists()


def test_a_spectrum_of_fewer_frames_than_dimensions_is_the_covariances():
    z = np.random.default_rng(0).normal(size=(12, 30)) * np.linspace(1, 3, 30)
    expected = np.linalg.eigvalsh(np.cov(z, rowvar=False))[::-1]
    assert eigenvalues(z) == pytest.approx(expected, abs=1e-9) and len(eigenvalues(z)) == 30
    assert eigenvalues(z).mean() == pytest.approx(z.var(axis=0, ddof=1).mean())
