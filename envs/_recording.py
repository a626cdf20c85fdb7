"""Recording episodes of a world: in parts that can be made anywhere, in any order, and again after a kill.

A part is the episodes that are simulated from one stream of random numbers. Parts are joined into one file (see
`envs._episodes`), which is the same to the bit whoever made them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from envs._episodes import FILE_NAME, SPLITS, schema
from envs._world import World

PARTS_OF = "recording.json"  # beside the parts: what they are parts of
_BATCH_BYTES = 64 * 2**20

# Applies a function to items, one by one or many at a time, and gives the results in any order.
Map = Callable[[Callable[[int], tuple[int, bytes | None]], Iterable[int]], Iterable[tuple[int, bytes | None]]]


class Asked(Protocol):
    """Episodes that are made in parts: recorded ones, or imported ones."""

    def metadata(self) -> dict[str, Any]:
        """All that the parts' content depends on."""

    def parts(self) -> range:
        """Numbers of the parts."""


@dataclass(frozen=True)
class Recording:
    """Episodes that are asked for: of a world with options, `steps` steps each (steps + 1 frames) by its policy."""

    world: str
    split: str
    episodes: int
    steps: int
    size: int  # px
    seed: int
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"unknown split {self.split!r}, there are {', '.join(SPLITS)}")
        if min(self.episodes, self.steps) < 1:
            raise ValueError(f"episodes and steps must be at least 1, got {self.episodes} and {self.steps}")

    def load(self) -> World:
        """The world as it is recorded."""
        from envs import load

        return load(self.world, self.options)

    def metadata(self) -> dict[str, Any]:
        """What the file says of itself."""
        world = self.load()
        about = {"world": world.name, "version": world.version}
        about |= {"state_names": world.state_names, "action_dim": world.action_dim}
        about |= {name: getattr(self, name) for name in ("split", "episodes", "steps", "size", "seed")}
        return about | ({"options": self.options} if self.options else {})

    def parts(self) -> range:
        """Numbers of the parts."""
        return range(-(-self.episodes // self.load().together))


def record(
    recording: Recording,
    folder: Path | str,
    *,
    parts: Path | str | None = None,
    map: Map = map,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Record into <folder>/episodes.arrow; at most 64 MB of pixels are held per part under way.

    Splits draw from independent streams; the same recording gives the same file, and more episodes the same first
    ones. Parts lie in a folder of their own below `parts`, or `folder`; those that a killed call left are not made
    again. `progress(done, total)` counts episodes. A file that exists is replaced once the new one is complete.
    """
    parts = parts_folder(recording, folder if parts is None else parts)
    path = Path(folder) / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = schema(recording.metadata())
    token, done = begin(recording, parts)
    tell = progress or (lambda done, total: None)
    make = partial(make_part, recording, parts, token)
    for number, content in map(make, [n for n in recording.parts() if n not in done]):
        if content is not None:
            place(part_file(parts, number), content)
        done.add(number)
        tell(sum(_kept(recording, number) for number in done), recording.episodes)
    write(path, columns, joined(parts, recording, columns))
    shutil.rmtree(parts)
    return path


def make_part(recording: Recording, parts: Path, token: str, number: int) -> tuple[int, bytes | None]:
    """Record one part into the folder `parts`, or where that is out of reach, on another node, give it back.

    A folder of that name is the one that is meant if it holds the same `token`.
    """
    if _noted(parts).get("token") == token:
        _write_part(recording, number, part_file(parts, number))
        return number, None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part.arrow"
        _write_part(recording, number, file)
        return number, file.read_bytes()


def parts_folder(asked: Asked, below: Path | str) -> Path:
    """Where the parts of what is asked for lie, and of nothing else."""
    text = json.dumps(asked.metadata(), sort_keys=True)
    return Path(below) / f"parts-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


def begin(asked: Asked, parts: Path) -> tuple[str, set[int]]:
    """Make the folder ready: its token, and the numbers of the parts that are there."""
    noted = _noted(parts)
    if noted.get("of") != json.loads(json.dumps(asked.metadata())):
        shutil.rmtree(parts, ignore_errors=True)  # a folder that was not begun to its end
        parts.mkdir(parents=True)
        noted = {"of": asked.metadata(), "token": uuid.uuid4().hex}
        place(parts / PARTS_OF, json.dumps(noted).encode())
    return noted["token"], {number for number in asked.parts() if _sound(part_file(parts, number))}


def _noted(parts: Path) -> dict[str, Any]:
    """What the folder says it holds; nothing if it is none."""
    try:
        return dict(json.loads((parts / PARTS_OF).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def part_file(parts: Path, number: int) -> Path:
    """Where a part lies in their folder."""
    return parts / f"{number:06}.arrow"


def _sound(part: Path) -> bool:
    """Whether a part is there and whole: its end, which says where everything is, is written last."""
    try:
        with pa.memory_map(str(part)) as source:
            return pa.ipc.open_file(source).num_record_batches > 0
    except (OSError, pa.ArrowException):
        return False


def place(file: Path, content: bytes) -> None:
    """All of it or nothing."""
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(content)
    os.replace(unfinished, file)


def write(file: Path, columns: pa.Schema, content: Iterable[pa.RecordBatch]) -> None:
    """An Arrow file of record batches, all of it or nothing."""
    # Nobody else writes the whole; a part may be made twice at a time, where a node was thought to be lost.
    unfinished = file.with_suffix(".part" if file.name == FILE_NAME else f".{os.getpid()}")
    with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_file(sink, columns) as writer:
        for batch in content:
            writer.write_batch(batch)
    os.replace(unfinished, file)


def _kept(recording: Recording, number: int) -> int:
    """Episodes of a part that are kept: of the last one only as many as are asked for."""
    together = recording.load().together
    return min(together, recording.episodes - number * together)


def _write_part(recording: Recording, number: int, file: Path) -> None:
    world, kept = recording.load(), _kept(recording, number)
    columns = schema(recording.metadata())
    stream = np.random.SeedSequence(recording.seed, spawn_key=(SPLITS.index(recording.split), number))
    states, actions = _simulate(world, recording.steps, kept, np.random.default_rng(stream))
    rows = _columns(number * world.together, states, actions)
    write(file, columns, batches(columns, rows, partial(world.render, size=recording.size)))


def _simulate(world, steps, kept, rng):
    """A part's first episodes -> states (kept, steps + 1, S), actions (kept, steps + 1, A) float32.

    Always all of them are simulated: recording more episodes later appends to the earlier ones.
    """
    n = world.together
    states = np.empty((steps + 1, n, len(world.state_names)))
    actions = np.full((steps + 1, n, world.action_dim), np.nan, np.float32)
    states[0] = world.sample(n, rng)
    policy = world.policy(n, rng)
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


def batches(columns: pa.Schema, rows: dict[str, np.ndarray], draw: Callable[..., Any]) -> Iterator[pa.RecordBatch]:
    """Record batches of at most 64 MB, whose pixels `draw(states, out=canvas)` fills in: use one before the next."""
    size = columns.field("pixels").type.shape[0]
    count = min(len(rows["state"]), max(1, _BATCH_BYTES // (3 * size * size)))
    canvas = np.empty((count, size, size, 3), np.uint8)
    for start in range(0, len(rows["state"]), count):
        part = {name: column[start : start + count] for name, column in rows.items()}
        part["pixels"] = canvas[: len(part["state"])]
        draw(part["state"], out=part["pixels"])
        yield pa.record_batch([_array(part[field.name], field.type) for field in columns], schema=columns)


def _array(values, kind):
    if isinstance(kind, pa.FixedShapeTensorType):
        return pa.FixedShapeTensorArray.from_numpy_ndarray(values)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(values.ravel(), kind.list_size)
    return pa.array(values)


def joined(parts: Path, recording: Asked, columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The parts' record batches, in order, mapped into memory one part at a time."""
    for number in recording.parts():
        with pa.memory_map(str(part_file(parts, number))) as source:
            reader = pa.ipc.open_file(source)
            if not reader.schema.equals(columns.with_metadata(reader.schema.metadata)):
                raise ValueError(f"{part_file(parts, number)} is no part of these episodes")
            for index in range(reader.num_record_batches):
                yield pa.RecordBatch.from_arrays(reader.get_batch(index).columns, schema=columns)
