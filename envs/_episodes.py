"""Recording episodes of a world into an Arrow IPC file, one row per frame.

Columns: episode int32, step int32, pixels uint8 (size, size, 3), action float32 (A) taken from this frame (NaN at the
last frame of an episode), state float64 (S). Not compressed, so that readers map it into memory and copy what they use.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from envs._world import World

FILE_NAME = "episodes.arrow"
SPLITS = ("train", "validation", "test")

# Episodes that are simulated together from one stream of random numbers. Always all of them, even if fewer are kept:
# recording more episodes later appends to the earlier ones.
_CHUNK = 32
_BATCH_BYTES = 64 * 2**20


def record(
    world: World,
    folder: Path | str,
    *,
    split: str,
    episodes: int,
    steps: int,
    size: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Record `episodes` episodes of `steps` steps (steps + 1 frames) by the world's policy -> <folder>/episodes.arrow.

    Splits ("train", "validation", "test") draw from independent streams; the same arguments give the same file, and
    more episodes the same first ones. `progress(done, total)` counts episodes. At most 64 MB of pixels are held. A file
    that exists is replaced once the new one is complete.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}, there are {', '.join(SPLITS)}")
    if min(episodes, steps) < 1:
        raise ValueError(f"episodes and steps must be at least 1, got {episodes} and {steps}")
    path = Path(folder) / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = _schema(size, world.action_dim, len(world.state_names))
    schema = schema.with_metadata(_metadata(world, split, episodes, steps, size, seed))
    unfinished = path.with_suffix(".part")
    with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        canvas = _canvas(min(episodes, _CHUNK) * (steps + 1), size)
        for first in range(0, episodes, _CHUNK):
            last = min(first + _CHUNK, episodes)
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split), first // _CHUNK)))
            columns = _columns(first, *_simulate(world, steps, last - first, rng))
            for batch in _batches(world, schema, canvas, columns):
                writer.write_batch(batch)
            if progress is not None:
                progress(last, episodes)
    os.replace(unfinished, path)
    return path


def _canvas(rows, size):
    """What record batches are drawn into, one after the other -> (at most rows, size, size, 3) uint8."""
    affordable = max(1, _BATCH_BYTES // (3 * size * size))
    return np.empty((min(rows, affordable), size, size, 3), np.uint8)


def _schema(size, action_dim, state_dim):
    return pa.schema(
        {
            "episode": pa.int32(),
            "step": pa.int32(),
            "pixels": pa.fixed_shape_tensor(pa.uint8(), (size, size, 3)),
            "action": pa.list_(pa.float32(), action_dim),
            "state": pa.list_(pa.float64(), state_dim),
        }
    )


def _metadata(world, split, episodes, steps, size, seed):
    values = {
        "world": world.name,
        "version": world.version,
        "state_names": world.state_names,
        "action_dim": world.action_dim,
        "split": split,
        "episodes": episodes,
        "steps": steps,
        "size": size,
        "seed": seed,
    }
    return {key: json.dumps(value) for key, value in values.items()}


def _simulate(world, steps, kept, rng):
    """A chunk's first episodes -> states (kept, steps + 1, S), actions (kept, steps + 1, A) float32."""
    states = np.empty((steps + 1, _CHUNK, len(world.state_names)))
    actions = np.full((steps + 1, _CHUNK, world.action_dim), np.nan, np.float32)
    states[0] = world.sample(_CHUNK, rng)
    policy = world.policy(_CHUNK, rng)
    for step in range(steps):
        actions[step] = policy.act(states[step])
        # From the rounded action, so that replaying what is recorded gives the recorded states.
        states[step + 1] = world.step(states[step], actions[step])
    return states.swapaxes(0, 1)[:kept], actions.swapaxes(0, 1)[:kept]


def _columns(first, states, actions):
    """All columns but the pixels, one row per frame: episode (N,), step (N,), action (N, A), state (N, S)."""
    episodes, frames = states.shape[:2]
    return {
        "episode": np.repeat(np.arange(first, first + episodes, dtype=np.int32), frames),
        "step": np.tile(np.arange(frames, dtype=np.int32), episodes),
        "action": actions.reshape(episodes * frames, -1),
        "state": states.reshape(episodes * frames, -1),
    }


def _batches(world, schema, canvas, columns):
    """Record batches of at most len(canvas) rows, whose pixels are drawn into canvas: use one before the next."""
    for start in range(0, len(columns["state"]), len(canvas)):
        part = {name: column[start : start + len(canvas)] for name, column in columns.items()}
        part["pixels"] = world.render(part["state"], canvas.shape[1], canvas[: len(part["state"])])
        yield pa.record_batch([_array(part[field.name], field.type) for field in schema], schema=schema)


def _array(values, kind):
    if isinstance(kind, pa.FixedShapeTensorType):
        return pa.FixedShapeTensorArray.from_numpy_ndarray(values)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(values.ravel(), kind.list_size)
    return pa.array(values)


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
        if reader.schema != _schema(self.size, self.action_dim, len(self.state_names)):
            raise ValueError("its columns are not those of episodes")
        batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate(full=True)  # pyarrow ends the process on lengths that do not fit
        self._open_rows(batches)

    def _open_rows(self, batches):
        episodes, frames = self.metadata["episodes"], self.metadata["steps"] + 1
        self.rows = sum(batch.num_rows for batch in batches)
        if not self.rows or self.rows != episodes * frames:
            raise ValueError(f"{self.rows} rows for {episodes} episodes of {frames} frames")
        steps = np.concatenate([batch.column("step").to_numpy() for batch in batches])
        if not np.array_equal(steps, np.tile(np.arange(frames), episodes)):
            raise ValueError("its steps are not in order")
        self.episode_start = np.arange(0, self.rows, frames)
        self.length = np.full(episodes, frames)
        self._address = np.concatenate([self._addresses(batch) for batch in batches])
        self._frames = sliding_window_view(np.frombuffer(self._file, np.uint8), 3 * self.size**2)
        self._actions = self._flat(batches, "action", self.action_dim)
        self._states = self._flat(batches, "state", len(self.state_names))

    def _addresses(self, batch):
        """Where each row's pixels begin in the file -> (rows of the batch,)."""
        pixels = batch.column("pixels").storage.flatten().buffers()[1]
        return pixels.address - self._file.address + np.arange(batch.num_rows) * (3 * self.size**2)

    @staticmethod
    def _flat(batches, name, width):
        return np.concatenate([batch.column(name).flatten().to_numpy().reshape(-1, width) for batch in batches])

    def __reduce__(self):
        return Episodes, (self.folder,)

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """rows (N,) -> (N, size, size, 3) uint8, a copy."""
        return self._frames[self._address[rows]].reshape(len(rows), self.size, self.size, 3)

    def actions(self, rows: np.ndarray) -> np.ndarray:
        """rows (N,) -> (N, A) float32, NaN at the last frame of an episode."""
        return self._actions[rows]

    def states(self, rows: np.ndarray) -> np.ndarray:
        """rows (N,) -> (N, S) float64."""
        return self._states[rows]


class Clips:
    """Every run of `frames` frames, `frameskip` rows apart, that lies within one episode.

    `rows` (len, ) is where each begins. No episode being long enough is a ValueError.
    """

    def __init__(self, episodes: Episodes, frames: int, frameskip: int):
        self.episodes, self.frames, self.frameskip = episodes, frames, frameskip
        span = (frames - 1) * frameskip
        counts = np.maximum(episodes.length - span, 0)
        if not counts.any():
            raise ValueError(f"no episode is long enough for {frames} frames, {frameskip} steps apart")
        first = np.cumsum(counts) - counts
        self.rows = np.arange(counts.sum()) + np.repeat(episodes.episode_start - first, counts)

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """index (B,) -> pixels (B, T, size, size, 3) uint8, actions (B, T-1, frameskip * A) float32.

        An action block holds every action taken between two frames, in order.
        """
        starts, blocks = self.rows[index][:, None], self.frames - 1
        seen = starts + self.frameskip * np.arange(self.frames)
        acted = starts + np.arange(self.frameskip * blocks)
        pixels = self.episodes.pixels(seen.ravel())
        actions = self.episodes.actions(acted.ravel())
        width = self.frameskip * self.episodes.action_dim
        return pixels.reshape(*seen.shape, *pixels.shape[1:]), actions.reshape(len(starts), blocks, width)
