"""Stores by path or URI; the one in object storage is for nodes that share nothing else, each with a mirror of it."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from trainables._bundles import Bundles, DamagedError, has
from trainables._manifest import MANIFEST, NESTED, Files, parse_manifest, parse_pruned, read_manifest, write_manifest
from trainables._object_lease import ObjectLeases
from trainables._object_notes import ObjectNotes
from trainables._objects import Objects, endpoint
from trainables.files import read_json, token, write_json
from trainables.store import DIFFERENT, RESERVED, SEGMENT, Store, StoreError, flat

logger = logging.getLogger(__name__)

AT_ONCE = 16  # documents asked for at a time


def open_store(uri: str | os.PathLike) -> Store:
    """The store at a path, file:///PATH, s3://BUCKET/PREFIX, gs:// or az://, ready to be written.

    StoreError in one line for one that cannot be.
    """
    folder = _local(uri)
    return Store(folder) if folder is not None else RemoteStore(str(uri))


def existing_store(uri: str | os.PathLike) -> Store | None:
    """The store at a path or URI to look at; None where nothing was ever kept. Nothing is written there."""
    folder = _local(uri)
    if folder is not None:
        return Store(folder, writable=False) if _exists(folder / "leases") else None
    return RemoteStore(str(uri), writable=False) if Objects(str(uri)).exists() else None


def _exists(folder: Path) -> bool:
    try:
        return stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        return False
    except NotADirectoryError as error:
        raise StoreError(f"the store {folder.parent} is no folder: a file is in the way") from error
    except OSError as error:
        raise StoreError(f"the store {folder.parent} cannot be read: {error}") from error


def _local(uri: str | os.PathLike) -> Path | None:
    """The folder that is named; None if it is object storage."""
    text = str(uri)
    try:
        folder = _named(text)
        return folder and folder.expanduser().resolve()
    except (RuntimeError, ValueError, OSError) as error:  # nobody's home, a circle of links, a null, one not to be read
        raise StoreError(f"{text!r} names no folder of this machine: {error}") from error


def _named(text: str) -> Path | None:
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        return Path(text)
    if not text.startswith("file:"):
        return None
    parts = urlsplit(text)
    if not text.startswith("file:///") or parts.query or parts.fragment:
        raise StoreError("a file: URI names no folder of this machine: give file:///PATH, with three slashes, alone")
    return Path(unquote(parts.path))


class RemoteStore(ObjectNotes):
    """The store below a URI of object storage; `root` is the mirror on this node, which may be deleted when unused.

    An entry is a bundle (see `Bundles`) whose manifest is created once: the first one wins, and without it there is no
    entry. What is got is checked here; an entry that is damaged there is set aside in `quarantine/`. `work/` holds the
    same way what was saved of unfinished work. Notes: see `ObjectNotes`.

    Leases are taken on this node first, then among nodes: see `ObjectLeases` for what they promise; `stale` in s, and
    `poll` in s between looks at another node's lease. StoreError if the storage cannot be reached, or not be written
    though it is to be `writable`.
    """

    def __init__(
        self,
        uri: str,
        mirror: str | os.PathLike | None = None,
        *,
        stale: float = 60.0,
        poll: float = 1.0,
        writable: bool = True,
    ):
        self._objects = Objects(uri)
        if writable:
            self._objects.check_writable()
        super().__init__(mirror or _mirror(self._objects.uri), stale=stale, poll=min(poll, 0.1))
        self._bundles = Bundles(self._objects)
        self._shared = ObjectLeases(self._objects, self._node(), stale=stale, poll=poll)
        self._sets_aside = writable

    @property
    def uri(self) -> str:
        """What another process, on any node, opens the same store by."""
        return self._objects.uri

    def get(self, key: str, *, whole: bool = False) -> Path | None:
        """See `Store.get`; downloaded if this node does not have it yet."""
        found = super().get(key, whole=whole)
        content = None if found else self._objects.read(f"{key}/{MANIFEST}")
        if content is None or (whole and parse_pruned(content, key)):
            return found
        with self._leases.hold(f"{flat(key)}~get"):  # many trials may start with the same episodes
            return super().get(key, whole=whole) or self._fetch(key)

    def put(self, key: str, folder: str | os.PathLike) -> Path:
        """See `Store.put`; the entry is in the storage first, and then on this node."""
        source = self._sealed(key, folder)
        while not self._bundles.create(key, key, source):
            if not self._bundles.complete(key, key, source):
                self._bundles.set_aside(key)
                logger.warning("%s is set aside in %s: %s", key, self.uri, DIFFERENT)
            elif (found := self.get(key, whole=True)) is not None:
                shutil.rmtree(source)
                return found
        return self._keep(key, source)

    def prune(self, key: str, names: Iterable[str]) -> int:
        """See `Store.prune`; from the storage, and from this node."""
        names = list(names)
        here = super().prune(key, names)
        return self._bundles.prune(key, key, names) or here

    def document(self, key: str, name: str) -> Any | None:
        """See `Store.document`; of an entry that this node does not have, nothing but that file is downloaded."""
        found = super().get(key)
        if found is not None:
            return read_json(found / name)
        folder = self.root / "work" / ".parts" / key
        files = read_manifest(folder, key) or {}
        if name not in files or not has(folder, name, files[name]):
            folder.mkdir(parents=True, exist_ok=True)
            if not self._brought(key, folder, only=name):
                return None
        return read_json(folder / name)

    def documents(self, wanted: Iterable[tuple[str, str]]) -> list[Any | None]:
        """See `Store.documents`; several at a time."""

        def glance(each: tuple[str, str]) -> Any | None:
            try:
                return self.document(*each)
            except (OSError, ValueError):
                return None

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(glance, wanted))

    def lease(self, key: str) -> AbstractContextManager[None]:
        """See `Store.lease`, and `ObjectLeases` for leases of other nodes."""
        return _both(super().lease(key), self._shared.hold(flat(key)))

    @contextmanager
    def attempt(self, key: str) -> Iterator[dict[str, Any] | None]:
        """See `Store.attempt`; whether the owner on another node lives shows when its heart beats, or has stopped."""
        with super().attempt(key) as owner:
            if owner is not None:
                yield owner
                return
            with self._shared.attempt(flat(key)) as owner:
                yield owner

    def holds(self, key: str) -> bool:
        """See `Store.holds`; of this node and among nodes."""
        return super().holds(key) and self._shared.holds(flat(key))

    def holders(self) -> dict[str, dict[str, Any]]:
        """See `Store.holders`; of all nodes."""
        return {**self._shared.holders(), **super().holders()}

    def save_work(self, key: str) -> None:
        """See `Store.save_work`; what has a name, or lies in a folder, that begins with a dot stays on this node."""
        folder = self.work(key)
        write_manifest(folder, key, wanted=_shared)
        self._bundles.replace(f"work/{key}", key, folder)

    def restore_work(self, key: str) -> None:
        """See `Store.restore_work`; what was not saved goes, so that all workers of a training begin alike."""
        folder = self.work(key)
        try:
            there = self._bundles.bring(f"work/{key}", key, folder)
        except DamagedError as damage:
            logger.warning("what was saved of %s is damaged in %s (%s) and is not used", key, self.uri, damage)
            there = False
        saved = (read_manifest(folder, key) or {}) if there else {}
        for file in folder.rglob("*"):
            name = file.relative_to(folder).as_posix()
            if file.is_file() and name not in saved and _shared(name):
                file.unlink(missing_ok=True)

    def saved(self, key: str, name: str) -> Any | None:
        """See `Store.saved`; this node's own may be newer than what was saved for others."""
        here = super().saved(key, name)
        return self._bundles.document(f"work/{key}", key, name) if here is None else here

    def drop_work(self, key: str) -> None:
        """See `Store.drop_work`."""
        super().drop_work(key)
        self._objects.remove(self._objects.names(f"work/{key}"))

    def report(self, name: str) -> Path:
        """See `Store.report`; as it was published last."""
        folder, place = super().report(name), f"reports/{name}"
        for published in self._objects.names(place):
            parts = published.removeprefix(f"{place}/").split("/")
            if all(SEGMENT.fullmatch(part) for part in parts):
                file = folder.joinpath(*parts)
                file.parent.mkdir(parents=True, exist_ok=True)
                self._objects.download(published, file)
        return folder

    def publish(self, name: str) -> None:
        """See `Store.publish`."""
        folder = super().report(name)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            self._objects.upload(file, f"reports/{name}/{file.relative_to(folder).as_posix()}")

    def files(self) -> Iterator[tuple[str, int, float]]:
        """See `Store.files`; of the storage."""
        yield from self._objects.details()

    def _entries(self, prefix: str = "") -> Iterator[tuple[str, Files]]:
        names = self._objects.names(prefix.rpartition("/")[0])
        wanted = [name for name in names if name.endswith(f"/{MANIFEST}") and name.split("/")[0] not in RESERVED]
        for name, content in self._objects.read_all(wanted).items():
            key = name.removesuffix(f"/{MANIFEST}")
            if (files := parse_manifest(content, key)) is not None:
                yield key, files

    def _fetch(self, key: str) -> Path | None:
        """Download an entry, or what was pruned here and came back there; None if it is gone or damaged."""
        if (found := super().get(key)) is not None:
            return found if self._brought(key, found) else None
        folder = self.root / "work" / ".get" / token()
        folder.mkdir(parents=True)
        try:
            return self._keep(key, folder) if self._brought(key, folder) else None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _brought(self, key: str, folder: Path, only: str | None = None) -> bool:
        """Download an entry, or one file of it, into `folder`; False if there is none that is whole."""
        try:
            return self._bundles.bring(key, key, folder, only)
        except DamagedError as damage:
            self._set_aside(key, damage)
            return False

    def _set_aside(self, key: str, damage: DamagedError) -> None:
        """Copy what is wrong to quarantine and take the manifest away, unless it is another one by now."""
        if not self._sets_aside or self._objects.read(f"{key}/{MANIFEST}") != damage.manifest:
            return
        place = f"quarantine/{flat(key)}~{token()}"
        for name in damage.objects:
            self._objects.copy(name, f"{place}/{name.removeprefix(f'{key}/')}")
        self._objects.remove([f"{key}/{MANIFEST}"])
        logger.warning("%s is damaged in %s (%s): set aside in %s", key, self.uri, damage, place)

    def _node(self) -> str:
        """A name for whoever shares the mirror."""
        file = self.root / "leases" / ".node"
        with self._leases.mutex():
            if not file.exists():
                write_json(file, token())
        return f"{socket.gethostname()}/{read_json(file)}"


def _shared(name: str) -> bool:
    """Whether a file of unfinished work is for other nodes, too; a work folder has others of entries below its own."""
    return name.split("/")[0] not in (MANIFEST, NESTED) and not re.search(r"(^|/)\.", name)


@contextmanager
def _both(first: AbstractContextManager, second: AbstractContextManager) -> Iterator[None]:
    with first, second:
        yield


def _mirror(uri: str) -> Path:
    """Where this node keeps what it has of the store at `uri`, as its endpoint gives it: below $WM_CACHE."""
    place = Path(os.environ.get("WM_CACHE") or "~/.cache/wm-study").expanduser()
    return place / hashlib.blake2b(f"{uri} {endpoint(uri)}".encode(), digest_size=8).hexdigest()
