"""What a measure is given: a trained model and the episodes around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs._episodes import Episodes
from trainables import features, training
from trainables.config import TrialConfig
from trainables.files import read_json
from trainables.model import WorldModel
from trainables.pipeline import WEIGHTS
from trainables.remote import open_store
from trainables.settings import Settings
from trainables.store import StoreError

Map = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]


@dataclass(frozen=True)
class Measured:
    """Numbers by name and, where there is one per planning task, a row per task."""

    values: dict[str, float]
    tasks: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Stored:
    """Where another node finds what a measure is given."""

    uri: str  # of the store
    checkpoint: str  # key
    data: dict[str, str]  # split -> key


@dataclass(frozen=True)
class Trained:
    """A finished training; picklable, so that it can be sent to planning actors, on other nodes if it is `stored`."""

    folder: Path  # of the checkpoint
    data: dict[str, Path]  # split -> episodes, and what is kept of a frozen encoder (see `trainables.features`)
    stored: Stored | None = None
    encoder: Settings | None = None  # as the trial has it now: files that it names may have moved since the training

    @cached_property
    def model(self) -> WorldModel:
        """The weights in evaluation mode, on the GPU if there is one."""
        return load_model(self.folder, self.encoder)

    @cached_property
    def result(self) -> dict[str, Any]:
        """result.json of the training."""
        return read_json(self.folder / "result.json")

    def episodes(self, split: str) -> Episodes:
        """The episodes of a split, memory-mapped, with a frozen encoder's features where those are kept."""
        return features.episodes(self.data, split)

    def __reduce__(self) -> tuple:
        return _received, (self.folder, self.data, self.stored, self.encoder)

    @torch.inference_mode()
    def latents(self, split: str, rows: np.ndarray) -> Tensor:
        """Latents (N, P D) on the CPU of the frames `rows` of a split."""
        device = self.model.pixel_mean.device
        parts = np.array_split(rows, max(1, len(rows) // 512))
        frames = self.episodes(split)
        latents = [self.model.encode(training.frames(frames.pixels(part)[None], device))[0] for part in parts]
        return torch.cat(latents).flatten(1).float().cpu()


def _received(folder: Path, data: dict[str, Path], stored: Stored | None, encoder: Settings | None) -> Trained:
    """The training as it lies on this node, brought here from the store if this is another one."""
    if stored is None or all(place.exists() for place in (folder / WEIGHTS, *data.values())):
        return Trained(folder, data, stored, encoder)
    store = open_store(stored.uri)
    found = {key: store.get(key, whole=True) for key in (stored.checkpoint, *stored.data.values())}
    if None in found.values():
        raise StoreError(f"the store {stored.uri} has lost {', '.join(key for key in found if found[key] is None)}")
    return Trained(found[stored.checkpoint], {split: found[key] for split, key in stored.data.items()}, stored, encoder)


def load_model(folder: Path, encoder: Settings | None = None) -> WorldModel:
    """A model from config.json and model.safetensors, its normaliser included.

    `encoder` is the same as that of the config, perhaps with its pretrained weights in another place; one that was
    trained here needs none.
    """
    from safetensors.torch import load_file

    config = TrialConfig.model_validate(read_json(folder / "config.json"))
    encoder = encoder or config.encoder
    config = config.model_copy(update={"encoder": encoder if config.frozen else getattr(encoder, "bare", encoder)})
    weights = load_file(folder / "model.safetensors")
    model = WorldModel(config, len(weights["normaliser.mean"]) // config.frameskip)
    model.load_state_dict(weights)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval().requires_grad_(False)


def sample_rows(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """At most `count` of `total` rows without replacement, in order."""
    return np.sort(rng.permutation(total)[:count])
