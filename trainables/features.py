"""What a frozen encoder says of recorded frames: computed once per episodes and encoder, and kept in the store.

`data` is what a trial learns from and is judged on: split -> folder of its episodes, and "features/<split>" -> folder
of their features where those are kept.
"""

from __future__ import annotations

import io
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from envs._episodes import Episodes
from trainables import ids, stages
from trainables.config import TrialConfig
from trainables.files import glance, write_json
from trainables.store import Store

FILE_NAME = "features.npy"  # (rows, P, F) float16
FRAMES_AT_ONCE = 256
SAVE_SECONDS = 20.0  # between notes of how much there is, for the next process should this one be killed

Tell = Callable[[dict], None]


class Encoded(Episodes):
    """Recorded episodes seen through a frozen encoder: in place of pixels (N, size, size, 3) features (N, P, F)."""

    def __init__(self, folder: Path, features: Path):
        super().__init__(folder)
        self._features = features
        self._kept = np.load(features / FILE_NAME, mmap_mode="r")

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """rows (N,) -> (N, P, F) float16, a copy."""
        return self._kept[rows]

    def __reduce__(self):
        return Encoded, (self.folder, self._features)


def episodes(data: Mapping[str, Path], split: str) -> Episodes:
    """The episodes of a split, with features where those are kept."""
    kept = data.get(_name(split))
    return Episodes(data[split]) if kept is None else Encoded(data[split], kept)


def judged(data: Mapping[str, Path], split: str) -> dict[str, Path]:
    """`data` with those of a split as what measures find under "test"."""
    moved = {to: data[name] for name, to in ((split, "test"), (_name(split), _name("test"))) if name in data}
    return {**data, **moved}


def ensure(config: TrialConfig, store: Store, data: Mapping[str, Path], tell: Tell | None = None) -> dict[str, Path]:
    """`data` with the features of its frames, computed now where the store lacks them, if they are to be kept at all.

    What a killed process computed of them is used.
    """
    if not (config.frozen and config.encoder.cached):
        return dict(data)

    def made(split: str) -> Path:
        about = {"phase": "features", "split": split}
        told = lambda done, total: tell and tell({**about, "done": done, "total": total})  # noqa: E731
        make = lambda out: compute(config, data[split], out, told)  # noqa: E731
        return stages.ensure(store, ids.features_key(config, split), make)

    return {**data, **{_name(split): made(split) for split in ids.SPLITS}}


def compute(config: TrialConfig, folder: Path, out: Path, progress: Callable[[int, int], object]) -> None:
    """Write the features of every frame of the episodes in `folder` into `out`; unfinished ones lie beside it.

    ValueError if they are more than the disk has room for, or some too large for half precision.
    """
    unfinished, note = out.parent / FILE_NAME, out.parent / "features.json"
    frames = Episodes(folder)
    encode, shape = _encoder(config, frames)
    _check_room(out.parent, (frames.rows, *shape), unfinished.stat().st_size if unfinished.exists() else 0)
    done = (glance(note) or {}).get("rows", 0) if unfinished.exists() else 0
    with unfinished.open("r+b" if done else "wb") as file:  # not mapped: a full disk would end the process
        file.write(_header((frames.rows, *shape)))
        file.seek(done * np.prod(shape) * 2, os.SEEK_CUR)
        file.truncate()
        saved = time.monotonic()
        for start in range(done, frames.rows, FRAMES_AT_ONCE):
            stop = min(start + FRAMES_AT_ONCE, frames.rows)
            file.write(_half(encode(frames.pixels(np.arange(start, stop)))).tobytes())
            progress(stop, frames.rows)
            if time.monotonic() - saved > SAVE_SECONDS or stop == frames.rows:
                file.flush()
                os.fsync(file.fileno())
                write_json(note, {"rows": stop})
                saved = time.monotonic()
    os.replace(unfinished, out / FILE_NAME)


def _check_room(folder: Path, shape: tuple[int, int, int], there: int) -> None:
    """ValueError if features of that shape, of which so many bytes are there, are more than the disk has room for."""
    needed, free = 2 * math.prod(shape), shutil.disk_usage(folder).free + there
    if needed > free:
        raise ValueError(
            f"features of {needed / 1e9:.3g} GB ({' x '.join(map(str, shape))} x 2 bytes) are more than the "
            f"{free / 1e9:.3g} GB that are free on the disk of {folder}: make room or set encoder.cached=false"
        )


def _header(shape: tuple[int, ...]) -> bytes:
    """What a file of float16 numbers of that shape begins with."""
    header = io.BytesIO()
    about = {"descr": np.lib.format.dtype_to_descr(np.dtype("<f2")), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, about)
    return header.getvalue()


def _encoder(config: TrialConfig, frames: Episodes) -> tuple[Callable[[np.ndarray], np.ndarray], tuple[int, int]]:
    """Pixels (N, size, size, 3) -> features (N, P, F), as the trial's model computes them, and (P, F)."""
    import torch

    from trainables.model import WorldModel

    torch.set_num_threads(config.threads)
    model = WorldModel(config, frames.action_dim).to("cuda" if torch.cuda.is_available() else "cpu").eval()

    @torch.inference_mode()
    def encode(pixels: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(pixels).to(model.pixel_mean.device).movedim(-1, 1)
        return model.features(images).float().cpu().numpy()

    return encode, (model.encoder.patches, model.encoder.features)


def _half(features: np.ndarray) -> np.ndarray:
    largest = np.finfo(np.float16).max
    if not (np.abs(features) <= largest).all():
        raise ValueError(f"features beyond {largest:g} cannot be kept in half precision: set encoder.cached=false")
    return features.astype("<f2")


def _name(split: str) -> str:
    return f"features/{split}"
