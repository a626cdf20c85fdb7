"""Import of the public LeWM files (see `envs._source_file`) into files of episodes as `envs._recording` writes them.

In parts, as recording is: a killed import goes on where it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs._episodes import FILE_NAME, SPLITS, schema
from envs._recording import batches, begin, joined, part_file, parts_folder, write
from envs._source_file import SourceFile, fingerprint, opened
from envs._world import World

__all__ = ["Source", "fingerprint", "import_episodes"]

TOGETHER = 32  # episodes of a part
COMPARED = 64  # frames whose pictures are compared with ours
_PERMUTATION = 1  # the stream of random numbers that deals episodes to splits


@dataclass(frozen=True)
class Source:
    """A split of a public file's episodes that is asked for, as `envs.Recording` is for episodes of our own.

    `seed` deals the file's episodes: `held_out` to the test set, as many to the validation set, `episodes` to the
    training set.
    """

    world: str
    options: dict[str, Any]
    path: Path | str
    fingerprint: str
    split: str
    episodes: int
    held_out: int
    size: int  # px
    seed: int

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"unknown split {self.split!r}, there are {', '.join(SPLITS)}")
        if min(self.episodes, self.held_out) < 1:
            raise ValueError(f"episodes and held_out must be at least 1, got {self.episodes} and {self.held_out}")

    @property
    def count(self) -> int:
        """Episodes of this split."""
        return self.episodes if self.split == "train" else self.held_out

    def load(self) -> World:
        """The world as it is planned in."""
        from envs import load

        return load(self.world, self.options)

    def parts(self) -> range:
        """Numbers of the parts."""
        return range(-(-self.count // TOGETHER))

    def described(self, **source: str) -> dict[str, Any]:
        """What the file of episodes says of itself, and of where they come from."""
        world = self.load()
        about = {"world": world.name, "version": world.version}
        about |= {"state_names": world.state_names, "action_dim": world.action_dim, "split": self.split}
        about |= {"episodes": self.count, "steps": None, "size": self.size, "seed": self.seed}
        about |= {"options": self.options} if self.options else {}
        return about | {"source": {"name": Path(self.path).name, "fingerprint": self.fingerprint, **source}}

    def metadata(self) -> dict[str, Any]:
        """What the parts are parts of: all that their content depends on."""
        return self.described() | {"dealt": {"train": self.episodes, "held_out": self.held_out}}


def import_episodes(
    source: Source,
    folder: Path | str,
    *,
    parts: Path | str,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Import into <folder>/episodes.arrow, holding at most 64 MB of its pixels, and as much of the file's.

    The same source gives the same file. Parts that a killed call left below `parts` are not read again, nor
    is a packed file unpacked again. `progress(done, total)` counts episodes. A ValueError, after which none
    are left, names the file and what is wrong with it: all columns are looked at before any pixel is read.
    """
    path, target, parts = Path(source.path), Path(folder) / FILE_NAME, parts_folder(source, parts)
    if (found := fingerprint(path)) != source.fingerprint:
        raise ValueError(f"{path} has changed: its fingerprint is {found}, not {source.fingerprint}")
    _, done = begin(source, parts)
    try:
        with opened(path, parts) as columns:
            split = _Split(source, SourceFile(path, columns, _importable(source)))
            note = split.note()
            _make_parts(split, parts, done, progress or (lambda done, total: None))
    except ValueError:
        shutil.rmtree(parts)
        raise
    target.parent.mkdir(parents=True, exist_ok=True)
    columns = schema(source.described(note=note))
    write(target, columns, joined(parts, source, columns))
    shutil.rmtree(parts)
    return target


def _importable(source):
    world = source.load()
    if not world.source_columns:
        raise ValueError(f"{source.world}: there is no public file to import for this world")
    return world


def _make_parts(split, parts, done, tell):
    columns = schema(split.source.metadata())
    for number in split.source.parts():
        if number in done:
            continue
        rows, values = split.part(number)
        write(part_file(parts, number), columns, batches(columns, values, _Pictures(split.file, rows)))
        done.add(number)
        tell(sum(len(split.part_episodes(n)) for n in done), split.source.count)


class _Pictures:
    """What draws record batches for `batches`: the pictures of the file's rows (N,), the next ones with every call."""

    def __init__(self, file: SourceFile, rows: np.ndarray):
        self._file, self._rows = file, rows

    def __call__(self, states: np.ndarray, out: np.ndarray) -> None:
        wanted, self._rows = np.split(self._rows, [len(states)])
        self._file.pictures(wanted, out)


class _Split:
    """The episodes of a file that a split consists of."""

    def __init__(self, source: Source, file: SourceFile):
        self.source, self.file, self._world = source, file, source.load()
        usable = np.flatnonzero(file.length > 1)  # an episode of one row has no step
        self.short = len(file.length) - len(usable)
        self.episodes = self._deal(usable)

    def _deal(self, usable):
        """The numbers of this split's episodes in the file, in its order."""
        source, held_out = self.source, self.source.held_out
        needed = 2 * held_out + source.episodes
        if needed > len(usable):
            asked = f"data.episodes={source.episodes} and twice data.held_out={held_out} are {needed}"
            self.file.fail(f"{len(usable)} episodes of 2 rows or more, {asked}: lower data.episodes or data.held_out")
        stream = np.random.SeedSequence(source.seed, spawn_key=(_PERMUTATION,))
        dealt = np.random.default_rng(stream).permutation(usable)
        first = {"test": 0, "validation": held_out, "train": 2 * held_out}[source.split]
        mine = dealt[first : first + source.count]
        return mine[np.argsort(self.file.start[mine])]

    def part_episodes(self, number: int) -> np.ndarray:
        """The file's numbers of a part's episodes."""
        return self.episodes[number * TOGETHER : (number + 1) * TOGETHER]

    def part(self, number: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """A part's rows (N,) in the file, and all columns but the pixels."""
        lengths = self.file.length[self.part_episodes(number)]
        rows, episodes = self._rows(number), number * TOGETHER + np.arange(len(lengths))
        return rows, {
            "episode": np.repeat(episodes, lengths).astype(np.int32),
            "step": np.concatenate([np.arange(length) for length in lengths]).astype(np.int32),
            "action": self._actions(number)[0],
            "state": self.file.states(rows),
        }

    def _rows(self, number):
        episodes = self.part_episodes(number)
        bounds = zip(self.file.start[episodes], self.file.length[episodes], strict=True)
        return np.concatenate([np.arange(start, start + length) for start, length in bounds])

    def _actions(self, number):
        """A part's actions (N, A), NaN in the last row of an episode, 0 where a number is missing; and how many are."""
        actions = self.file.actions(self._rows(number))
        last = np.cumsum(self.file.length[self.part_episodes(number)]) - 1
        actions[last] = 0
        missing = np.isnan(actions)
        actions[missing] = 0
        actions[last] = np.nan
        return actions, int(missing.sum())

    def note(self) -> str:
        """What a reader of the data card must know. All of the split is read for it, but for most pixels."""
        file, size = self.file, self.source.size
        said = [f"Imported from {file.path.name}: {self.source.count} of its {len(file.length)} episodes"]
        if self.short:
            said.append(f"{self.short} of fewer than 2 rows are in no split")
        said.append(
            f"pictures resized from {file.side} to {size} pixels" if file.side != size else "pictures as they are"
        )
        said += self._about_numbers()
        return "; ".join([*said, self._about_pictures()]) + "."

    def _about_numbers(self):
        """Reads all states and actions: they are known to be sound before an hour of reading pixels."""
        least, most, missing, strange = np.inf, -np.inf, 0, 0
        for number in self.source.parts():
            strange += int((~self._world.contains(self.file.states(self._rows(number)))).sum())
            actions, absent = self._actions(number)
            least, most, missing = min(least, np.nanmin(actions)), max(most, np.nanmax(actions)), missing + absent
        if missing:
            yield f"numbers missing in actions, now 0: {missing}"
        if least < -1 or most > 1:
            yield f"actions reach from {least:.3g} to {most:.3g}, the world clips them to [-1, 1]"
        if strange:
            yield f"frames in states that our world cannot be in: {strange}"

    def _about_pictures(self):
        rows = np.concatenate([self._rows(number) for number in self.source.parts()])
        rows = rows[np.linspace(0, len(rows) - 1, min(COMPARED, len(rows))).astype(int)]
        ours = self._world.render(self.file.states(rows), self.source.size)
        theirs = np.empty_like(ours)
        self.file.pictures(rows, theirs)
        levels = np.abs(ours.astype(np.int16) - theirs).mean()
        return (
            f"our own pictures of the same states, which planning starts from and aims at, differ from the file's by "
            f"{levels:.1f} of 255 grey levels on average ({len(rows)} frames)"
        )
