"""ResNet-18 and DINOv2: shapes, where weights come from, and what is said where there are none."""

import http.server
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from trainables import ids, pipeline
from trainables.encoders import _dinov2_weights, dinov2, resnet18
from trainables.paths import assign, assign_all, base_config
from trainables.settings import ConfigError

LOCAL = base_config("smwm", "two_room", "local")
SMALL = 28  # px, four patches
FILE = "{repo_id}/resolve/{revision}/{filename}"  # of the hub's addresses


@pytest.fixture(scope="module")
def trained():
    """DINOv2's ViT-S/14 as timm makes it, with weights that stand for trained ones."""
    torch.manual_seed(3)
    vit = timm.create_model("vit_small_patch14_dinov2.lvd142m", pretrained=False, num_classes=0)
    for weights in vit.parameters():
        nn.init.normal_(weights, std=0.02)
    return vit.eval()


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "dinov2.safetensors"
    save_file(trained.state_dict(), path)
    return path


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache, and a hub that nobody answers at."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"http://127.0.0.1:9/{FILE}")
    _dinov2_weights._unreachable.cache_clear()
    yield tmp_path / "hub"
    _dinov2_weights._unreachable.cache_clear()


def images(side, count=3):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def build(image_size=32, **settings):
    return dinov2.build(dinov2.Config(**{"side": SMALL, "weights": "random", **settings}), image_size).eval()


# --- ResNet-18


def test_resnet18_is_timms_with_batch_norm_over_the_global_batch():
    net, plain = resnet18.build(resnet18.Config(), 64), timm.create_model("resnet18", num_classes=0)
    shapes = [{name: p.shape for name, p in module.state_dict().items()} for module in (net[0], plain)]
    assert shapes[0] == shapes[1] and sum(p.numel() for p in net.parameters()) == 11_176_512
    net[0].load_state_dict(plain.state_dict())
    assert torch.allclose(net.eval()(images(64))[:, 0], plain.eval()(images(64)), atol=1e-5)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 20 and {type(norm).__name__ for norm in norms} == {"GlobalBatchNorm2d"}


@pytest.mark.parametrize(("width", "side"), [(8, 32), (16, 64), (16, 50)])
def test_resnet18_of_another_width_has_eight_times_as_many_features(width, side):
    net = resnet18.build(resnet18.Config(width=width), side)
    assert net(images(side)).shape == (3, 1, 8 * width) and (net.features, net.patches) == (8 * width, 1)


@pytest.mark.parametrize("side", [32, 64])
def test_a_new_resnet18_sees_every_place_of_the_image(side):
    net = resnet18.build(resnet18.Config(width=16), side)
    places = [(row, column) for row in range(2, side, 10) for column in range(2, side, 10)]
    frames = torch.zeros(len(places), 3, side, side)
    for frame, (row, column) in zip(frames, places, strict=True):
        frame[:, row : row + 3, column : column + 3] = 1
    features = net.train()(frames)[:, 0]
    assert (torch.cdist(features, features) + torch.eye(len(places))).min() > 1e-2


# --- DINOv2: the network


@pytest.mark.parametrize(("side", "patches"), [(14, 1), (56, 16), (196, 196)])
def test_patch_tokens_are_one_vector_per_patch_of_the_side(side, patches):
    net = build(side=side)
    assert net(images(32, 2)).shape == (2, patches, 384) and net.patches == patches


def test_the_class_token_is_one_vector():
    net = build(tokens="class")
    assert net(images(32, 2)).shape == (2, 1, 384) and net.patches == 1


def test_tokens_are_those_of_timm_after_its_last_norm(file, trained):
    same = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=518).eval()
    same.load_state_dict(trained.state_dict())
    same.set_input_size(SMALL)
    tokens = same.forward_features(images(SMALL))
    assert torch.allclose(build(weights=str(file))(images(SMALL)), tokens[:, 1:], atol=1e-5)
    assert torch.allclose(build(weights=str(file), tokens="class")(images(SMALL)), tokens[:, :1], atol=1e-5)


def test_frames_are_resized_without_aliasing():
    net, stripes = build(), torch.ones(1, 3, 3 * SMALL, 3 * SMALL)
    stripes[..., ::2] = -1  # a third of a pixel wide once they are resized: every third column would show them in full
    small = net.resized(stripes)
    assert small.shape == (1, 3, SMALL, SMALL) and small.abs().max() < 0.4
    assert torch.equal(net.resized(small), small) and torch.equal(net(stripes), net(small))


def test_random_weights_are_the_same_for_every_seed_and_disturb_no_generator():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = build()
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), build().parameters(), strict=True))


# --- DINOv2: weights


def test_weights_come_back_from_a_file_and_only_positions_are_interpolated(file, trained):
    own, saved = build(weights=str(file)).vit.state_dict(), trained.state_dict()
    assert own.keys() == saved.keys()
    assert [name for name in own if not torch.equal(own[name], saved[name])] == ["pos_embed"]
    assert own["pos_embed"].shape == (1, 1 + 4, 384) and saved["pos_embed"].shape == (1, 1 + 37**2, 384)


def test_metas_own_file_has_a_token_for_masks_besides(file, trained, tmp_path):
    path = tmp_path / "dinov2_vits14_pretrain.pth"
    torch.save({**trained.state_dict(), "mask_token": torch.zeros(1, 384)}, path)
    one, two = build(weights=str(path)), build(weights=str(file))
    assert torch.equal(one(images(32)), two(images(32)))


def bad(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".pth":
        torch.save(content, path)
    else:
        save_file(content, path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.safetensors", {"conv1.weight": torch.zeros(2)}, "it lacks cls_token and 173 more, it has conv1.weight"),
        ("base.safetensors", {"cls_token": torch.zeros(1, 1, 768)}, r"cls_token of shape \(1, 1, 768\) in place of"),
        ("noise.safetensors", b"\x00" * 50, "is damaged or no state dict"),
        ("noise.pth", b"not a file of torch", "is damaged or no state dict"),
        ("empty.pth", b"", "is damaged or no state dict"),
        ("list.pth", [1, 2], "holds something else than a state dict"),
        ("nested.pth", {"model": {"cls_token": torch.zeros(1)}}, "holds something else than a state dict"),
    ],
)  # fmt: skip
def test_a_file_of_other_weights_is_refused_by_its_name_and_the_first_that_is_wrong(name, content, message, tmp_path):
    path = bad(tmp_path / name, content)
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        build(weights=path)


def test_one_missing_tensor_is_enough_to_refuse_a_file(trained, tmp_path):
    state = trained.state_dict()
    del state["blocks.7.attn.qkv.bias"]
    path = bad(tmp_path / "almost.safetensors", state)
    with pytest.raises(ValueError, match=r"almost\.safetensors .*: it lacks blocks\.7\.attn\.qkv\.bias$"):
        build(weights=path)


def test_the_id_goes_by_the_content_of_the_weights_and_not_by_their_place(file, tmp_path):
    copy, other = tmp_path / "copy.safetensors", tmp_path / "other.safetensors"
    copy.write_bytes(file.read_bytes())
    other.write_bytes(file.read_bytes()[:-1] + b"\x01")
    seen = [assign_all(LOCAL, {"encoder": "dinov2", "encoder.weights": str(path)}) for path in (file, copy, other)]
    for key in (ids.train_key, lambda config: ids.features_key(config, "train")):
        assert key(seen[0]) == key(seen[1]) != key(seen[2])
    hub, random = (assign_all(LOCAL, {"encoder": "dinov2", "encoder.weights": name}) for name in ("hub", "random"))
    assert len({ids.train_key(config) for config in (hub, random, seen[0])}) == 3
    back = assign(seen[0], "encoder.weights", "hub")
    assert back == hub  # the file's fingerprint went with it


def test_a_place_named_from_here_is_the_same_file_in_another_folder(file, tmp_path, monkeypatch):
    monkeypatch.chdir(file.parent)
    here = assign_all(LOCAL, {"encoder": "dinov2", "encoder.weights": file.name})
    known = dinov2.Config(weights=file.name, fingerprint=here.encoder.fingerprint)
    monkeypatch.chdir(tmp_path)
    assert here == assign_all(LOCAL, {"encoder": "dinov2", "encoder.weights": str(file)})
    assert known.weights == str(file) and pipeline.lacking(here) is None
    assert type(LOCAL).model_validate(here.model_dump(mode="json")) == here


def test_a_file_that_changed_since_is_not_used(tmp_path):
    path = bad(tmp_path / "mine.safetensors", {"cls_token": torch.zeros(1)})
    config = dinov2.Config(weights=path)
    bad(tmp_path / "mine.safetensors", {"cls_token": torch.ones(2)})
    assert "has changed since encoder.fingerprint was taken" in dinov2.lacking(config)
    with pytest.raises(ValueError, match="has changed"):
        dinov2.build(config, 32)


def test_a_known_fingerprint_needs_no_file_before_the_weights_are_needed(file):
    config = dinov2.Config(weights="nowhere.safetensors", fingerprint="0123456789abcdef")
    missing = Path("nowhere.safetensors").absolute()
    assert dinov2.lacking(config).startswith(f"no weights: there is no file {missing}; give")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("encoder.side", 60, "encoder.side: 60: is no multiple of 14 px, the nearest is 56"),
        ("encoder.side", 7, "encoder.side: 7: Input should be greater than or equal to 14"),
        ("encoder.weights", "hubb", "encoder: weights: there is no file hubb, did you mean 'hub'?; valid: hub, random"),
        ("encoder.weights", "/", "encoder: weights: / is a folder, not a file"),
        ("encoder.tokens", "cls", "encoder.tokens: 'cls': Input should be 'patch' or 'class'"),
        ("encoder.fingerprint", "ab", "encoder: fingerprint: 'ab' is of a file, weights=hub is none"),
        ("encoder.frozn", True, "encoder.frozn: no such setting, did you mean 'encoder.frozen'?"),
    ],
)
def test_what_cannot_be_is_refused_by_name(path, value, message):
    with pytest.raises(ConfigError) as refused:
        assign(assign(LOCAL, "encoder", "dinov2"), path, value)
    assert message in str(refused.value)


# --- DINOv2: nothing at hand


def test_without_weights_it_says_so_at_once_and_builds_nothing(hub):
    began = time.monotonic()
    said = dinov2.lacking(dinov2.Config())
    assert said.startswith("no weights: timm/vit_small_patch14_dinov2.lvd142m is neither in") and str(hub) in said
    assert "encoder.weights=PATH" in said and "encoder.weights=random" in said
    with pytest.raises(ValueError, match="no weights: timm/vit_small_patch14"):
        build(weights="hub")
    assert time.monotonic() - began < 10
    config = assign(LOCAL, "encoder", "dinov2")
    assert pipeline.lacking(config) == said
    assert pipeline.lacking(assign(config, "encoder.weights", "random")) is None
    assert pipeline.lacking(LOCAL) is None


def test_weights_in_the_local_cache_of_the_hub_are_found_without_it(hub, file):
    folder = hub / "models--timm--vit_small_patch14_dinov2.lvd142m"
    place = folder / "snapshots" / "0123" / "model.safetensors"
    place.parent.mkdir(parents=True)
    place.symlink_to(file)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123")
    assert dinov2.lacking(dinov2.Config()) is None
    assert torch.equal(build(weights="hub")(images(32)), build(weights=str(file))(images(32)))


@pytest.mark.parametrize(("answer", "lacks"), [(200, False), (404, True), (503, True)])
def test_a_hub_that_has_the_file_is_enough(answer, lacks, hub, monkeypatch):
    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            found = self.path == "/timm/vit_small_patch14_dinov2.lvd142m/resolve/main/model.safetensors"
            self.send_response(answer if found else 410)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{FILE}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        said = dinov2.lacking(dinov2.Config())
        server.shutdown()
    assert bool(said) == lacks and str(answer) in (said or str(answer))


def test_asking_takes_no_torch():
    code = (
        "import sys; from trainables.encoders import dinov2; dinov2.lacking(dinov2.Config());"
        "sys.exit('torch' in sys.modules)"
    )
    offline = {"HF_HUB_OFFLINE": "1", "PATH": ""}
    assert subprocess.run([sys.executable, "-c", code], env=offline, check=False).returncode == 0
