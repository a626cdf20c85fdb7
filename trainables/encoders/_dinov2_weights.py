"""Where DINOv2's weights come from, and what is said where there are none. Imports no torch before it reads a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from envs._source_file import fingerprint
from trainables.encoders.dinov2 import HUB, RANDOM, Config

if TYPE_CHECKING:
    from torch import Tensor, nn

REPOSITORY, FILE = "timm/vit_small_patch14_dinov2.lvd142m", "model.safetensors"
PATIENCE = 3.0  # s that the hub has for an answer
INSTEAD = "give encoder.weights=PATH of a state dict, or encoder.weights=random to do without any training of them"


def unavailable(config: Config) -> str | None:
    """Why the weights cannot be had here, "no weights: ..."; None if they can, or if none are asked for."""
    if config.weights == RANDOM:
        return None
    wrong = _unreachable() if config.weights == HUB else _unlike(config)
    return wrong and f"no weights: {wrong}; {INSTEAD}"


def load(vit: nn.Module, config: Config) -> None:
    """Fill the network of DINOv2's own image side with the weights. ValueError if there are none or others."""
    if wrong := unavailable(config):
        raise ValueError(wrong)
    path = _downloaded() if config.weights == HUB else Path(config.weights)
    tensors = _read(path)
    tensors.pop("mask_token", None)  # in Meta's own file: for training with masks alone
    _check(path, {name: tensor.shape for name, tensor in vit.state_dict().items()}, tensors)
    vit.load_state_dict(tensors)


def _unlike(config: Config) -> str | None:
    """Why the file is not the one that the config means."""
    try:
        found = fingerprint(config.weights)
    except ValueError as error:
        return str(error)
    return None if found == config.fingerprint else f"{config.weights} has changed since encoder.fingerprint was taken"


@cache
def _unreachable() -> str | None:
    """Why the hub's file cannot be had: it is not in the local cache, and the hub does not answer."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if _in_cache():
        return None
    try:
        get_hf_file_metadata(hf_hub_url(REPOSITORY, FILE), timeout=PATIENCE)
    except Exception as error:  # noqa: BLE001  of whichever library the hub's client sends requests by
        where = f"is neither in {constants.HF_HUB_CACHE} nor to be had from the Hugging Face hub"
        return f"{REPOSITORY} {where} ({_told(error)})"
    return None


def _in_cache() -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(REPOSITORY, FILE)
    return Path(found) if isinstance(found, str) else None


def _downloaded() -> Path:
    from huggingface_hub import hf_hub_download

    return _in_cache() or Path(hf_hub_download(REPOSITORY, FILE))


def _read(path: Path) -> dict[str, Tensor]:
    """A state dict; ValueError that names a file which is none."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        packed = path.suffix == ".safetensors"
        found = load_file(path) if packed else torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, SafetensorError, UnpicklingError) as error:
        raise ValueError(f"{path} is damaged or no state dict ({_told(error)})") from error
    if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise ValueError(f"{path} holds something else than a state dict of tensors by name")
    return found


def _told(error: Exception) -> str:
    """The first line of what it says, its name if it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _check(path: Path, own: dict[str, tuple], tensors: dict[str, Tensor]) -> None:
    """ValueError unless the tensors are those of the network, with the first name that is not."""
    missing = [name for name in own if name not in tensors]
    unexpected = [name for name in tensors if name not in own]
    wrong = [
        f"{name} of shape {tuple(tensors[name].shape)} in place of {tuple(shape)}"
        for name, shape in own.items()
        if name in tensors and tensors[name].shape != shape
    ]
    kinds = {"it lacks": missing, "it has": unexpected, "it has the tensor": wrong}
    said = [
        f"{kind} {names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)}" for kind, names in kinds.items() if names
    ]
    if said:
        raise ValueError(f"{path} is no state dict of DINOv2's ViT-S/14: {', '.join(said)}")
