"""Folders with a manifest in object storage: there whole or not at all, and checked when they come back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainables._manifest import (
    MANIFEST,
    NESTED,
    completed,
    fingerprint,
    parse_manifest,
    parse_pruned,
    read_manifest,
    stripped,
)
from trainables._objects import Objects
from trainables._pruning import same
from trainables.files import json_text, parse_json, token
from trainables.store import StoreError, flat


class DamagedError(Exception):
    """What was downloaded is not what its `manifest` says; `objects` are what is wrong."""

    def __init__(self, what: str, manifest: bytes, *objects: str):
        super().__init__(what)
        self.manifest, self.objects = manifest, objects


class Bundles:
    """A folder `place` is one object per file, `<place>/<hash>/<file>`, and `<place>/manifest.json`, written last.

    The hash is of the file's content, so that the files of two who upload to one place cannot mix.
    """

    def __init__(self, objects: Objects):
        self._objects = objects

    def create(self, place: str, key: str, folder: Path) -> bool:
        """Upload a folder that has its manifest; False, and nothing changed, if there is one at `place` already."""
        self._upload(place, key, folder)
        created = self._objects.create(f"{place}/{MANIFEST}", (folder / MANIFEST).read_bytes())
        self._sweep(place, key)
        return created

    def replace(self, place: str, key: str, folder: Path) -> None:
        """Upload a folder that has its manifest in place of the one that is there."""
        self._upload(place, key, folder)
        self._objects.write(f"{place}/{MANIFEST}", (folder / MANIFEST).read_bytes())
        self._sweep(place, key)

    def bring(self, place: str, key: str, folder: Path, only: str | None = None) -> bool:
        """Download what lies at `place`, or one file of it, into `folder`; False if nothing does.

        Files that are there already are kept. Raises DamagedError if what was downloaded is wrong twice.
        """
        try:
            return self._download(place, key, folder, only)
        except DamagedError:  # it may have been replaced while we read it
            return self._download(place, key, folder, only)

    def document(self, place: str, key: str, name: str) -> Any | None:
        """One JSON file of what lies at `place`, to learn from; None for what is not there or cannot be read."""
        files = parse_manifest(self._objects.read(f"{place}/{MANIFEST}") or b"", key) or {}
        content = self._objects.read(_object(place, name, files[name][1])) if name in files else None
        try:
            return parse_json(content, place) if content else None
        except ValueError:
            return None

    def prune(self, place: str, key: str, names: Iterable[str]) -> int:
        """Delete files of what lies at `place`, whose manifest says so first; bytes freed."""
        content = self._objects.read(f"{place}/{MANIFEST}") or b""
        files = parse_manifest(content, key)
        if files is None:
            return 0
        self._objects.write(f"{place}/{MANIFEST}", json_text(stripped(content, key, names)).encode())
        self._sweep(place, key)
        return sum(files[name][0] for name in names if name in files)

    def complete(self, place: str, key: str, folder: Path) -> bool:
        """Upload what was pruned; False, and nothing changed, if the folder has other files of that name."""
        content = self._objects.read(f"{place}/{MANIFEST}") or b""
        pruned = parse_pruned(content, key)
        if not same(folder, pruned):
            return False
        for name, (_, digest) in pruned.items():
            self._objects.upload(folder / name, _object(place, name, digest))
        if pruned:
            self._objects.write(f"{place}/{MANIFEST}", json_text(completed(content, key)).encode())
        return True

    def set_aside(self, key: str) -> None:
        """Move an entry and those below it to quarantine; without its manifest it is no entry any more."""
        names = sorted(self._objects.names(key), key=lambda name: not name.endswith(f"/{MANIFEST}"))
        place = f"quarantine/{flat(key)}~{token()}"
        for name in names:
            self._objects.copy(name, f"{place}/{name.removeprefix(f'{key}/')}")
        self._objects.remove(names)

    def _upload(self, place: str, key: str, folder: Path) -> None:
        for name, (_, digest) in read_manifest(folder, key).items():
            self._objects.upload(folder / name, _object(place, name, digest))

    def _download(self, place: str, key: str, folder: Path, only: str | None) -> bool:
        manifest = self._objects.read(f"{place}/{MANIFEST}")
        if manifest is None:
            return False
        files = parse_manifest(manifest, key)
        if files is None:
            raise DamagedError(f"{MANIFEST} is not valid", manifest, f"{place}/{MANIFEST}")
        for name, expected in files.items():
            if only not in (None, name) or has(folder, name, expected):
                continue
            source = _object(place, name, expected[1])
            if wrong := self._wrong(source, folder / name, expected):
                raise DamagedError(f"{name} {wrong}", manifest, f"{place}/{MANIFEST}", source)
        part = folder / f".{token()}.part"
        part.write_bytes(manifest)
        part.replace(folder / MANIFEST)
        return True

    def _wrong(self, source: str, file: Path, expected: list) -> str | None:
        """Download one file; what is wrong with it, and then it is not kept."""
        if file.resolve() != file:
            raise StoreError(f"{file} leads out of its place by a symbolic link, nothing is downloaded there")
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.parent / f".{token()}.part"
        try:
            if not self._objects.download(source, part):
                return "is missing"
            if fingerprint(part) != expected:
                return "has changed"
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
        return None

    def _sweep(self, place: str, key: str) -> None:
        """Delete what lies at `place` and is not in the manifest there: a killed, slower or earlier one's."""
        names = self._objects.names(place)
        files = parse_manifest(self._objects.read(f"{place}/{MANIFEST}") or b"", key)
        if files is not None:
            kept = {f"{place}/{MANIFEST}", *(_object(place, name, digest) for name, (_, digest) in files.items())}
            nested = f"{place}/{NESTED}/"
            self._objects.remove(name for name in names if name not in kept and not name.startswith(nested))


def has(folder: Path, name: str, expected: list) -> bool:
    """Whether `folder` has the file with that size and hash."""
    file = folder / name
    return file.is_file() and fingerprint(file) == expected


def _object(place: str, name: str, digest: str) -> str:
    return f"{place}/{digest[:16]}/{name}"
