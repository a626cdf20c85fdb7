"""Checkpoints of unfinished training: one safetensors file and a JSON beside it that names the file and its hash."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from trainables.files import write_json

log = logging.getLogger(__name__)
STATE = "checkpoint.json"


def write(work: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write both files; the JSON goes last, and until then the previous checkpoint stands."""
    file = work / f"checkpoint-{state['step']}.safetensors"
    write_weights(file, tensors)
    write_json(work / STATE, {**state, "file": file.name, "hash": _hash(file.read_bytes())})
    for old in work.glob("checkpoint-*.safetensors"):
        if old != file:
            old.unlink()


def read(work: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The tensors and state in `work`; None without one. One whose content is not what was written is not used."""
    if not (work / STATE).exists():
        return None
    try:
        state = json.loads((work / STATE).read_text())
        content = (work / state["file"]).read_bytes()
        if _hash(content) != state["hash"]:
            raise ValueError("its content is not what was written")
        return load(content), state
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        log.warning("checkpoint in %s cannot be used (%s): training starts again", work, error)
        return None


def write_weights(file: Path, tensors: dict[str, Tensor]) -> None:
    """Safetensors, durable, whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    content = save({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()})
    with part.open("wb") as handle:  # not by safetensors, whose errors do not tell a full disk from anything else
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    part.replace(file)


def join(**groups: dict[str, Tensor]) -> dict[str, Tensor]:
    """Groups of tensors under `group:name`."""
    return {f"{group}:{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def part(tensors: dict[str, Tensor], group: str) -> dict[str, Tensor]:
    """One group out of `join`."""
    return {name.split(":", 1)[1]: tensor for name, tensor in tensors.items() if name.startswith(f"{group}:")}


def optimiser_tensors(optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> dict[str, Tensor]:
    """AdamW's moments and counts by the parameter's number."""
    return {
        f"{number}.{name}": value
        for number, parameter in enumerate(parameters)
        for name, value in optimiser.state.get(parameter, {}).items()
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], tensors: dict[str, Tensor]
) -> None:
    """The inverse of `optimiser_tensors`."""
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        parameter = parameters[int(number)]
        optimiser.state[parameter][name] = value.to(parameter.device)


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
