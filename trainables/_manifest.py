"""Manifests: the list of an entry's files with their sizes and content hashes, sealed by a hash of its own."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from trainables.files import parse_json, write_json

MANIFEST = "manifest.json"
NESTED = "measures"  # the folder of the entries that live below another one
_CHUNK = 1 << 20

Files = dict[str, list]  # relative path -> [bytes, content hash]


def write_manifest(folder: Path, key: str, wanted: Callable[[str], bool] = lambda name: True) -> Files:
    """List the files of `folder` whose relative path is `wanted`. ValueError for symbolic links."""
    named = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    ours = {name: path for name, path in named.items() if name.split("/")[0] not in (MANIFEST, NESTED) and wanted(name)}
    if links := [str(path) for path in ours.values() if path.is_symlink()]:
        raise ValueError(f"{key!r} cannot hold symbolic links: {', '.join(links)}")
    files = {name: fingerprint(path) for name, path in ours.items() if path.is_file()}
    write_json(folder / MANIFEST, manifest(key, files))
    return files


def manifest(key: str, files: Files, pruned: Files | None = None) -> dict[str, Any]:
    """What a manifest says: the files that are there, and those that were there and were removed on purpose."""
    content = {"key": key, "files": files, "seal": _seal(key, files, pruned)}
    return content | {"pruned": pruned} if pruned else content


def read_manifest(folder: Path, key: str) -> Files | None:
    """The files of the manifest in `folder`; None if it is damaged or gone."""
    return parse_manifest(_content(folder), key)


def read_pruned(folder: Path, key: str) -> Files:
    """The files that were removed from the entry in `folder`."""
    return parse_pruned(_content(folder), key)


def parse_manifest(content: bytes, key: str) -> Files | None:
    """The files of a manifest; None if it is damaged, another key's, or names a file outside of its folder."""
    found = _parsed(content, key)
    return found and found["files"]


def parse_pruned(content: bytes, key: str) -> Files:
    """The files that a manifest says were removed."""
    return (_parsed(content, key) or {}).get("pruned", {})


def stripped(content: bytes, key: str, names: Iterable[str]) -> dict[str, Any]:
    """The manifest without the files `names`, which it then says were removed."""
    files, pruned = parse_manifest(content, key) or {}, parse_pruned(content, key)
    gone = {name: files.pop(name) for name in names if name in files}
    return manifest(key, files, pruned | gone)


def completed(content: bytes, key: str) -> dict[str, Any]:
    """The manifest with the files that were removed."""
    return manifest(key, parse_manifest(content, key) | parse_pruned(content, key))


def mismatch(folder: Path, key: str) -> str | None:
    """What is wrong with an entry; None if nothing is."""
    files = read_manifest(folder, key)
    if files is None:
        return f"{MANIFEST} is not valid"
    for name, expected in files.items():
        try:
            found = fingerprint(folder / name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return f"{name} is missing"
        if found != expected:
            return f"{name} has changed"
    return None


def fingerprint(path: Path) -> list:
    """[bytes, content hash] of a file."""
    stat = path.stat()
    return [stat.st_size, _digest(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)]


@functools.lru_cache(maxsize=1 << 16)
def _digest(path: Path, mtime_ns: int, size: int, inode: int) -> str:
    """Content hash; the file's stats are arguments only so that a file which has not changed is read once."""
    state = hashlib.blake2b(digest_size=32)
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _content(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return b""


def _parsed(content: bytes, key: str) -> dict[str, Any] | None:
    """A manifest that is sound."""
    try:
        found = parse_json(content, key)
        files, pruned = found["files"], found.get("pruned", {})
        sound = found["seal"] == _seal(key, files, pruned) and all(map(_inside, [*files, *pruned]))
        return found if sound else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _seal(key: str, files: Files, pruned: Files | None = None) -> str:
    """Hash of a manifest's own content, so that damage to the manifest shows as well."""
    content = [key, files, pruned] if pruned else [key, files]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=32).hexdigest()


def _inside(name: str) -> bool:
    """Whether a relative path stays in its folder."""
    return all(part not in ("", ".", "..") for part in name.split("/")) and "\\" not in name and "\0" not in name
