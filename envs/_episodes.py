"""Recorded episodes: an Arrow IPC file, one row per frame, and the clips of frames in it.

Columns: episode int32, step int32, pixels uint8 (size, size, 3), action float32 (A) taken from this frame (NaN at the
last frame of an episode), state float64 (S). Not compressed, so that readers map it into memory and copy what they use.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

FILE_NAME = "episodes.arrow"
SPLITS = ("train", "validation", "test")


def schema(metadata: dict[str, Any]) -> pa.Schema:
    """The columns of a file of episodes whose "size", "action_dim" and "state_names" are these, with all it says."""
    size, action_dim, state_dim = metadata["size"], metadata["action_dim"], len(metadata["state_names"])
    columns = {
        "episode": pa.int32(),
        "step": pa.int32(),
        "pixels": pa.fixed_shape_tensor(pa.uint8(), (size, size, 3)),
        "action": pa.list_(pa.float32(), action_dim),
        "state": pa.list_(pa.float64(), state_dim),
    }
    return pa.schema(columns, {key: json.dumps(value) for key, value in metadata.items()})


class Episodes:
    """Recorded episodes, mapped into memory: opening copies no pixels, reading copies the rows asked for.

    A row is a frame. `rows` is their number, `episode_start` (E,) and `length` (E,) are where episodes begin and how
    many frames they have, `metadata` is what `record` was asked for (world, version, split, seed, ...). A folder
    without episodes is a FileNotFoundError; a truncated or corrupt file is a ValueError that names it (flipped bits in
    the numbers themselves pass: those are for a checksum). Pickling sends the name of the folder.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        path = self.folder / FILE_NAME
        try:
            self._open(path)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is truncated or corrupt, record it again ({error})") from error

    def _open(self, path):
        with pa.memory_map(str(path)) as source:
            self._file = source.read_buffer()
        reader = pa.ipc.open_file(self._file)
        self.metadata = {key.decode(): json.loads(value) for key, value in (reader.schema.metadata or {}).items()}
        self.size, self.action_dim = self.metadata["size"], self.metadata["action_dim"]
        self.state_names = tuple(self.metadata["state_names"])
        if reader.schema != schema(self.metadata):
            raise ValueError("its columns are not those of episodes")
        batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate(full=True)  # pyarrow ends the process on lengths that do not fit
        self._open_rows(batches)

    def _open_rows(self, batches):
        self.rows = sum(batch.num_rows for batch in batches)
        if not self.rows:
            raise ValueError("it has no rows")
        episodes, steps = (
            np.concatenate([batch.column(name).to_numpy() for batch in batches]) for name in ("episode", "step")
        )
        self.episode_start = np.flatnonzero(steps == 0)
        self.length = np.diff(self.episode_start, append=self.rows)
        self._check(episodes, steps)
        # A number per record batch and column, none per row: memory of a process does not grow with the data.
        self._first = np.cumsum([0, *(batch.num_rows for batch in batches)])[:-1]
        self._bytes = np.frombuffer(self._file, np.uint8)
        self._begins = {name: self._addresses(batches, name) for name in ("pixels", "action", "state")}

    def _check(self, episodes, steps):
        """ValueError unless the rows are the episodes that the file says it has, one after the other."""
        starts = np.repeat(self.episode_start, self.length)
        if len(starts) != self.rows or not np.array_equal(steps, np.arange(self.rows) - starts):
            raise ValueError("its steps are not in order")
        count, expected = self.metadata["episodes"], self.metadata["steps"]
        if not np.array_equal(episodes, np.repeat(np.arange(count), self.length) if count == len(self.length) else ()):
            raise ValueError(f"its rows are not those of {count} episodes")
        if expected is not None and np.any(self.length != expected + 1):  # imported ones have lengths of their own
            raise ValueError(f"{self.rows} rows for {count} episodes of {expected + 1} frames")

    def _addresses(self, batches, name):
        """Where a column's values begin in the file, per record batch."""
        columns = [batch.column(name) for batch in batches]
        values = [(column.storage if name == "pixels" else column).flatten() for column in columns]
        begins = [array.buffers()[1].address + array.offset * array.type.byte_width for array in values]
        return np.array(begins) - self._file.address

    def _read(self, name, rows, width, kind):
        """`width` values of a column per row -> (N, width), a copy."""
        rows, row_bytes = np.asarray(rows), width * np.dtype(kind).itemsize
        batch = np.searchsorted(self._first, rows, side="right") - 1
        begins = self._begins[name][batch] + (rows - self._first[batch]) * row_bytes
        return sliding_window_view(self._bytes, row_bytes)[begins].view(kind)

    def __reduce__(self):
        return Episodes, (self.folder,)

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """rows (N,) -> (N, size, size, 3) uint8, a copy."""
        return self._read("pixels", rows, 3 * self.size**2, np.uint8).reshape(-1, self.size, self.size, 3)

    def actions(self, rows: np.ndarray) -> np.ndarray:
        """rows (N,) -> (N, A) float32, NaN at the last frame of an episode."""
        return self._read("action", rows, self.action_dim, np.float32)

    def states(self, rows: np.ndarray) -> np.ndarray:
        """rows (N,) -> (N, S) float64."""
        return self._read("state", rows, len(self.state_names), np.float64)


class Clips:
    """Every run of `frames` frames, `frameskip` rows apart, that lies within one episode.

    No episode being long enough is a ValueError.
    """

    def __init__(self, episodes: Episodes, frames: int, frameskip: int):
        self.episodes, self.frames, self.frameskip = episodes, frames, frameskip
        counts = np.maximum(episodes.length - (frames - 1) * frameskip, 0)
        if not counts.any():
            raise ValueError(f"no episode is long enough for {frames} frames, {frameskip} steps apart")
        self._ends = np.cumsum(counts)
        self._shift = episodes.episode_start - (self._ends - counts)  # from a clip's number to its first row

    def __len__(self) -> int:
        return int(self._ends[-1])

    def rows(self, index: np.ndarray) -> np.ndarray:
        """index (B,) -> (B,) rows that the clips begin at."""
        return index + self._shift[np.searchsorted(self._ends, index, side="right")]

    def gather(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """index (B,) -> pixels (B, T, size, size, 3) uint8, actions (B, T-1, frameskip * A) float32.

        An action block holds every action taken between two frames, in order.
        """
        starts, blocks = self.rows(index)[:, None], self.frames - 1
        seen = starts + self.frameskip * np.arange(self.frames)
        acted = starts + np.arange(self.frameskip * blocks)
        pixels = self.episodes.pixels(seen.ravel())
        actions = self.episodes.actions(acted.ravel())
        width = self.frameskip * self.episodes.action_dim
        return pixels.reshape(*seen.shape, *pixels.shape[1:]), actions.reshape(len(starts), blocks, width)
