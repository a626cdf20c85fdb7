"""A public LeWM file (arXiv:2603.19312), open for reading: flat HDF5, a row per frame in every column.

`pixels`, `action` and what a world's `source_columns` name have as many rows as there are frames; `ep_offset` and
`ep_len` say where episodes begin and how many rows they have. A name that ends in .zst: all of it is compressed again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from envs._card import file_hash
from envs._world import World

_READ_BYTES = 16 * 2**20  # of pixels in the file's size, or of a packed file's content, that are held at a time
_SENSIBLE = 1e6  # no world has states or actions of that size: it is damage
_CHUNK_BYTES = 48 * 2**20  # of HDF5's cache: neighbouring episodes share a chunk, which is to be unpacked once


def fingerprint(path: Path | str) -> str:
    """Sixteen hex digits of a file's whole content, remembered on this machine for as long as the file stays as it is.

    What cannot be read as a file is a ValueError that names it.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError(f"{path} is a folder, not a file" if path.is_dir() else f"there is no file {path}")
        about = path.stat()
        key = f"{path.resolve()} {about.st_size} {about.st_mtime_ns} {about.st_ino}"
        known = _cache() / hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
        if known.is_file() and len(found := known.read_text()) == 16:
            return found
        found = file_hash(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    with suppress(OSError):  # then it is read again the next time
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(found)
    return found


def _cache() -> Path:
    """Below the folder of this machine's copies of what lies in remote stores."""
    return Path(os.environ.get("WM_CACHE") or Path.home() / ".cache" / "wm-study") / "fingerprints"


@contextmanager
def opened(path: Path, work: Path) -> Iterator[dict[str, Any]]:
    """The columns (h5py.Dataset) of a file by name; a packed file is unpacked into the folder `work`, once.

    A damaged file is a ValueError that names it, a missing package an ImportError that names that.
    """
    try:
        import h5py
        import hdf5plugin  # noqa: F401  registers blosc
    except ImportError as error:
        raise ImportError(f"{path} cannot be read without {error.name}: pip install {error.name}") from error
    plain = _unpacked(path, work) if path.suffix == ".zst" else path
    with _reading(path):
        file = h5py.File(plain, "r", rdcc_nbytes=_CHUNK_BYTES)
    with file:
        with _reading(path):
            columns = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
        yield columns


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What HDF5 and zstd raise for a damaged file becomes a ValueError that names it."""
    try:
        yield
    except (OSError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or not HDF5: {error}") from error


def _unpacked(path, work):
    plain, unfinished = work / "source.h5", work / "source.part"
    if not plain.is_file():
        with pa.input_stream(str(path), compression="zstd") as packed, unfinished.open("wb") as file:
            while piece := _next(path, packed):
                file.write(piece)
        os.replace(unfinished, plain)
    return plain


def _next(path, packed):
    with _reading(path):  # and nothing else: that the disk is full is no damage
        return packed.read(_READ_BYTES)


class SourceFile:
    """The columns of a file that a world needs, all of them checked; no pixel is read for that.

    `start`, `length` (E,) are where episodes begin and how many rows they have, `side` the size of a picture in pixels.
    """

    def __init__(self, path: Path, columns: Mapping[str, Any], world: World):
        self.path, self._columns, self._world = path, columns, world
        self._check_names()
        self.start, self.length = self._episodes()
        self._check_rows()
        self._check_pixels()
        self._check_actions()

    def fail(self, text: str) -> None:
        """A ValueError that names the file."""
        raise ValueError(f"{self.path}: {text}")

    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        """A column's values in rows (N,), which ascend -> (N, ...)."""
        with _reading(self.path):
            return np.concatenate([self._columns[name][first:last] for first, last in _runs(rows, len(rows))])

    def states(self, rows: np.ndarray) -> np.ndarray:
        """rows (N,) -> states (N, S) float64, numbers that can be drawn."""
        columns = {name: self.read(name, rows) for name in self._world.source_columns}
        try:
            states = np.asarray(self._world.from_source(columns), np.float64)
        except (IndexError, ValueError) as error:
            self.fail(f"columns {', '.join(columns)} are not those of {self._world.name} ({error})")
        expected = (len(rows), len(self._world.state_names))
        if states.shape != expected:
            self.fail(f"columns {', '.join(columns)} give states {states.shape}, not {expected}")
        if not (np.abs(states) < _SENSIBLE).all():
            self.fail(f"columns {', '.join(columns)} hold numbers that are missing or beyond all measure")
        return states

    def actions(self, rows: np.ndarray) -> np.ndarray:
        """rows (N,) -> (N, A) float32, as they are in the file."""
        actions = self.read("action", rows)
        if (np.abs(actions) >= _SENSIBLE).any():
            self.fail("column action holds numbers beyond all measure")
        return actions.astype(np.float32)

    def pictures(self, rows: np.ndarray, out: np.ndarray) -> None:
        """The pixels of rows (N,) into out (N, size, size, 3) uint8, resized if need be."""
        most, at = max(1, _READ_BYTES // (3 * self.side**2)), 0
        for first, last in _runs(rows, most):
            with _reading(self.path):
                frames = self._columns["pixels"][first:last]
            _resize(frames.transpose(0, 2, 3, 1) if self._channel_first else frames, out[at : at + last - first])
            at += last - first

    def _check_names(self):
        needed = ("ep_len", "ep_offset", "pixels", "action", *self._world.source_columns)
        if missing := [name for name in needed if name not in self._columns]:
            there = ", ".join(sorted(self._columns)) or "none"
            self.fail(f"no column{'s' * (len(missing) > 1)} {', '.join(missing)}; there are: {there}")

    def _episodes(self):
        with _reading(self.path):
            start, length = (np.asarray(self._columns[name][()]) for name in ("ep_offset", "ep_len"))
        if start.shape != length.shape or start.ndim != 1 or {start.dtype.kind, length.dtype.kind} - set("iu"):
            self.fail(f"ep_offset {start.dtype} {start.shape} and ep_len {length.dtype} {length.shape} do not match")
        return start.astype(np.int64), length.astype(np.int64)

    def _check_rows(self):
        """One episode begins where another ends, from the first row of every column to its last."""
        order = np.lexsort((self.length, self.start))
        length = self.length[order]
        if np.any(length < 0) or not np.array_equal(self.start[order], np.cumsum(length) - length):
            self.fail("ep_offset and ep_len contradict each other: episodes overlap or leave rows out")
        for name in ("pixels", "action", *self._world.source_columns):
            rows = (self._columns[name].shape or (0,))[0]
            if rows != length.sum():
                self.fail(f"ep_len adds up to {length.sum()} rows, but column {name} has {rows}")

    def _check_pixels(self):
        shape, kind = self._columns["pixels"].shape, self._columns["pixels"].dtype
        self._channel_first = len(shape) == 4 and shape[1] == 3 and shape[3] != 3
        sides = shape[2:] if self._channel_first else shape[1:3]
        if kind != np.uint8 or len(shape) != 4 or 3 not in (shape[1], shape[3]) or sides[0] != sides[1]:
            self.fail(f"pixels must be uint8 (N, side, side, 3) or (N, 3, side, side), they are {kind} {shape}")
        self.side = sides[0]

    def _check_actions(self):
        action, world = self._columns["action"], self._world
        if action.ndim != 2 or action.shape[1] != world.action_dim or action.dtype.kind not in "fiu":
            wanted = f"an action of {world.name} is {world.action_dim} numbers"
            self.fail(f"{wanted}, column action is {action.dtype} {action.shape}")


def _runs(rows, most):
    """Where runs of consecutive rows begin and end, none longer than `most`."""
    for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
        for first in range(0, len(run), most):
            yield int(run[first]), int(run[min(first + most, len(run)) - 1]) + 1


def _resize(frames, out):
    """frames (N, side, side, 3) into out (N, size, size, 3), both uint8: antialiased.

    Of PIL's filters this one comes nearest to what our worlds draw at the smaller size."""
    size = out.shape[1]
    if frames.shape[1] == size:
        out[:] = frames
        return
    from PIL import Image

    for frame, picture in zip(frames, out, strict=True):
        image = Image.fromarray(np.ascontiguousarray(frame))
        picture[:] = image.resize((size, size), Image.Resampling.HAMMING)
