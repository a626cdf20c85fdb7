"""Removing files of an entry that other files of it do not need, and giving them back once they were made again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from trainables._manifest import MANIFEST, completed, fingerprint, read_pruned, stripped
from trainables.files import write_json


def prune(folder: Path, key: str, names: Iterable[str]) -> int:
    """Delete files of the entry in `folder`, whose manifest says first that they are gone on purpose; bytes freed.

    What a killed process left to delete is deleted, too. ValueError, and nothing is deleted, if any of it lies behind a
    symbolic link.
    """
    left = stripped((folder / MANIFEST).read_bytes(), key, names)
    if astray := [name for name in left.get("pruned", {}) if _leads_out(folder, name)]:
        raise ValueError(f"{key!r} is not pruned: symbolic links lead out of it: {', '.join(astray)}")
    write_json(folder / MANIFEST, left)
    freed = 0
    for name in read_pruned(folder, key):
        if (folder / name).exists():
            freed += (folder / name).stat().st_size
            (folder / name).unlink()
    return freed


def same(source: Path, pruned: dict[str, list]) -> bool:
    """Whether `source` has what was removed, bit for bit."""
    return all((source / name).is_file() and fingerprint(source / name) == was for name, was in pruned.items())


def complete(folder: Path, key: str, source: Path) -> bool:
    """Give the entry in `folder` back what was removed from it; False, and nothing changed, if `source` has other.

    Also False if a symbolic link leads from the place of any of it.
    """
    pruned = read_pruned(folder, key)
    if not same(source, pruned) or any(_leads_out(place, name) for name in pruned for place in (source, folder)):
        return False
    for name in pruned:
        (source / name).replace(folder / name)
    if pruned:
        write_json(folder / MANIFEST, completed((folder / MANIFEST).read_bytes(), key))
    return True


def _leads_out(folder: Path, name: str) -> bool:
    """Whether a name below `folder` stands for what lies elsewhere."""
    file = folder.resolve() / name
    return file.resolve() != file
