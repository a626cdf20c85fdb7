"""The content-addressed store: folders that exist whole or not at all, and leases so that each is made once.

Layout below the root: `<key>/` holds an entry and its `manifest.json`; `work/<key>/` unfinished work; `leases/` who
makes what; `quarantine/` entries whose content no longer matched their manifest. An entry may live below another one,
in its `measures/` folder. The usual way to make a thing once, in however many processes::

    with store.lease(key):
        folder = store.get(key)
        if folder is None:
            fill(store.work(key))
            folder = store.put(key, store.work(key))
"""

import errno
import fcntl
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
NESTED = "measures"
RESERVED = ("work", "leases", "quarantine")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*")
_KEY_LENGTH = 200  # a key with its slashes replaced must fit into one file name
_CHUNK = 1 << 20


class StoreError(Exception):
    """The store cannot do what was asked: an unwritable root, a key that is none, a folder that cannot be kept."""


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` to `path` as JSON with sorted keys; a reader sees the old file or the whole new one, never a part.

    Raises ValueError for NaN and infinities, TypeError for what JSON does not know.
    """
    path = Path(path)
    text = json.dumps(value, sort_keys=True, allow_nan=False, indent=1) + "\n"
    part = path.with_name(f".{path.name}.{_token()}.tmp")
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file. Raises FileNotFoundError, or ValueError naming the file when its content is no JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


class Store:
    """Entries (folders of files) by key below one root; safe for any number of processes on any number of hosts.

    A key is a posix path such as "train/ff00aa/measures/success_rate-0a1b". Across hosts a lease whose owner has not
    been heard of for `stale` seconds is taken over; waiting for a lease looks again every `poll` seconds.
    Raises StoreError naming the path when the root cannot be created or written.
    """

    def __init__(self, root: str | os.PathLike, *, stale: float = 60.0, poll: float = 0.1):
        self.root = Path(root).expanduser().resolve()
        self.stale = stale
        self.poll = poll
        try:
            for name in RESERVED:
                (self.root / name).mkdir(parents=True, exist_ok=True)
            # Permission bits say nothing on a full disk or a read-only mount, nor to root: only writing tells.
            write_json(self.root / "leases" / f".probe-{_token()}", None)
            for probe in (self.root / "leases").glob(".probe-*"):
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"the store {self.root} cannot be written: {error}") from error

    def get(self, key: str) -> Path | None:
        """The folder of `key`, its content verified (each file once per process), or None where there is none.

        An entry whose content does not match its manifest is moved to quarantine with a warning, and None returned.
        """
        folder = self._folder(key)
        try:
            seen = folder.stat().st_ino
            wrong = _mismatch(folder, key)
        except FileNotFoundError:
            return None
        if wrong is None:
            return folder
        self._quarantine(key, folder, seen, wrong)
        return None

    def put(self, key: str, folder: str | os.PathLike) -> Path:
        """Move `folder` into the store as `key` and return where it lies; `folder` is gone afterwards.

        The first valid entry wins: if there is one already it is kept and `folder` deleted. Killed at any point,
        either the entry is whole or `folder` is still there. Raises StoreError for a folder that cannot be kept.
        """
        target, source = self._folder(key), Path(folder).resolve()
        if not source.is_dir() or source == target or source in target.parents:
            raise StoreError(f"{folder} cannot be stored as {key!r}: it must be a folder outside the stored entry")
        staged = self._same_device(source)
        _write_manifest(staged, key)
        target.parent.mkdir(parents=True, exist_ok=True)
        while (kept := self.get(key)) is None and not _renamed(staged, target):
            self._clear_debris(key, target)
        for leftover in (staged, source):
            if leftover.exists():
                shutil.rmtree(leftover)
        return kept or target

    @contextmanager
    def lease(self, key: str) -> Iterator[None]:
        """Wait until `key` is ours alone to make, hold it while the block runs, and renew it from a thread.

        A dead owner's lease is taken over: on this host as soon as its process is gone, from another host when its
        heartbeat is stale. Threads of one process wait for each other; a thread that asks for a lease which it
        holds already gets a StoreError, for it would wait for ever.
        """
        self._folder(key)
        path, mine = self.root / "leases" / _flat(key), _identity() | {"key": key, "token": _token()}
        waiting = None
        while (owner := self._claim(path, mine)) is not None:
            if owner != waiting:
                logger.info("waiting for %s: process %s on %s makes it", key, owner["pid"], owner["host"])
            waiting = owner
            time.sleep(self.poll)
        stop = threading.Event()
        heart = threading.Thread(target=self._beat, args=(path, mine, stop), name=f"lease {key}", daemon=True)
        heart.start()
        try:
            yield
        finally:
            stop.set()
            heart.join()
            with self._mutex():
                if _owner(path) == mine:
                    path.unlink()

    def work(self, key: str) -> Path:
        """The scratch folder of `key`, created when missing. Whatever a killed process left there is still there."""
        self._folder(key)
        folder = self.root / "work" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def keys(self, prefix: str = "") -> list[str]:
        """Sorted keys that start with `prefix` and have a manifest in order; contents are not verified."""
        found = (path.parent.relative_to(self.root).as_posix() for path in self.root.glob(f"*/**/{MANIFEST}"))
        return sorted(key for key in found if key.startswith(prefix) and self._listed(key))

    def size(self) -> int:
        """Bytes of all entries, after their manifests."""
        manifests = (_read_manifest(self.root / key, key) for key in self.keys())
        return sum(size for files in manifests for size, _ in (files or {}).values())

    def _folder(self, key: str) -> Path:
        """Where `key` lies. Raises StoreError for a key that is malformed, reserved or leads out of the root."""
        parts = key.split("/")
        well_formed = len(key) <= _KEY_LENGTH and all(_SEGMENT.fullmatch(part) for part in parts)
        if not well_formed or parts[0].lower() in RESERVED or MANIFEST in parts:
            raise StoreError(f"{key!r} is not a valid key of the store {self.root}")
        folder = self.root / key
        if not folder.resolve().is_relative_to(self.root):
            raise StoreError(f"the key {key!r} leads out of the store {self.root} through a symbolic link")
        return folder

    def _listed(self, key: str) -> bool:
        try:
            return key.split("/")[0] not in RESERVED and _read_manifest(self.root / key, key) is not None
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _quarantine(self, key: str, folder: Path, seen: int, wrong: str) -> None:
        place = self.root / "quarantine" / f"{_flat(key)}~{_token()}"
        with self._mutex():
            # Another process may have moved the bad folder and put a good one since we looked.
            if not folder.exists() or folder.stat().st_ino != seen:
                return
            os.rename(folder, place)
        logger.warning("%s is damaged (%s): moved to %s", key, wrong, place)

    def _clear_debris(self, key: str, target: Path) -> None:
        """Make way for a new entry where something without a manifest lies."""
        if target.exists() and not (target / MANIFEST).exists():
            self._quarantine(key, target, target.stat().st_ino, f"{MANIFEST} is missing")

    def _same_device(self, source: Path) -> Path:
        """`source`, or a copy of it next to the entries where a rename could not cross file systems."""
        if source.stat().st_dev == self.root.stat().st_dev:
            return source
        return Path(shutil.copytree(source, self.root / "work" / f".incoming-{_token()}", symlinks=True))

    @contextmanager
    def _mutex(self) -> Iterator[float]:
        """Hold the store's file lock, which the kernel frees when a holder dies; yields the file system's time in s."""
        with open(self.root / "leases" / ".lock", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.utime(file.fileno())
            yield os.fstat(file.fileno()).st_mtime

    def _claim(self, path: Path, mine: dict) -> dict | None:
        """Take the lease and return None, or return the living owner who has it."""
        with self._mutex() as now:
            owner = _owner(path)
            if owner is not None:
                if all(owner[name] == mine[name] for name in ("host", "pid", "started", "thread")):
                    raise StoreError(f"this thread already holds the lease of {mine['key']!r}")
                # Both times are the file system's, so that hosts whose clocks differ agree.
                if _alive(owner, silent=now - path.stat().st_mtime, stale=self.stale):
                    return owner
                logger.info("%s: taking over the lease of process %s", mine["key"], owner["pid"])
            write_json(path, mine)
        return None

    def _beat(self, path: Path, mine: dict, stop: threading.Event) -> None:
        while not stop.wait(self.stale / 6):
            try:
                with self._mutex():
                    if _owner(path) != mine:
                        logger.warning("%s: the lease was taken over by another process", mine["key"])
                        return
                    os.utime(path)
            except OSError as error:
                logger.warning("%s: the lease could not be renewed: %s", mine["key"], error)


def _token() -> str:
    return os.urandom(8).hex()


def _flat(key: str) -> str:
    return key.replace("/", "~")


def _sync_folder(folder: Path) -> None:
    """Make a rename within `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _renamed(folder: Path, target: Path) -> bool:
    """Rename `folder` to `target`; False if something is there already."""
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise
        return False
    _sync_folder(target.parent)
    return True


@functools.lru_cache(maxsize=1 << 16)
def _digest(path: Path, mtime_ns: int, size: int, inode: int) -> str:
    """Content hash; the file's stats are arguments only so that a file which has not changed is read once."""
    state = hashlib.blake2b(digest_size=32)
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _fingerprint(path: Path) -> list:
    """[bytes, content hash] of a file."""
    stat = path.stat()
    return [stat.st_size, _digest(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)]


def _seal(key: str, files: dict[str, list]) -> str:
    """Hash of a manifest's own content, so that damage to the manifest shows as well."""
    return hashlib.blake2b(json.dumps([key, files], sort_keys=True).encode(), digest_size=32).hexdigest()


def _write_manifest(folder: Path, key: str) -> None:
    paths = [path for path in sorted(folder.rglob("*")) if path.relative_to(folder).parts[0] not in (MANIFEST, NESTED)]
    if links := [str(path) for path in paths if path.is_symlink()]:
        raise StoreError(f"{key!r} cannot hold symbolic links: {', '.join(links)}")
    files = {path.relative_to(folder).as_posix(): _fingerprint(path) for path in paths if path.is_file()}
    write_json(folder / MANIFEST, {"key": key, "files": files, "seal": _seal(key, files)})


def _read_manifest(folder: Path, key: str) -> dict[str, list] | None:
    """{relative path: [bytes, hash]}, None if the manifest is damaged; FileNotFoundError if there is none."""
    try:
        manifest = read_json(folder / MANIFEST)
        files = manifest["files"]
        return files if manifest["seal"] == _seal(key, files) else None
    except (ValueError, KeyError, TypeError):
        return None


def _mismatch(folder: Path, key: str) -> str | None:
    """What is wrong with an entry, None if nothing is. Raises FileNotFoundError where there is no manifest."""
    files = _read_manifest(folder, key)
    if files is None:
        return f"{MANIFEST} is not valid"
    for name, expected in files.items():
        try:
            found = _fingerprint(folder / name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return f"{name} is missing"
        if found != expected:
            return f"{name} has changed"
    return None


def _identity() -> dict:
    process = psutil.Process()
    thread = threading.get_ident()
    return {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time(), "thread": thread}


def _owner(path: Path) -> dict | None:
    """The lease's owner, None if nobody holds it. An unreadable lease is nobody's: leases are written whole."""
    try:
        return read_json(path)
    except (FileNotFoundError, ValueError):
        return None


def _alive(owner: dict, *, silent: float, stale: float) -> bool:
    """Whether a lease's owner still works: here its process tells, elsewhere only its heartbeat (`silent` s ago)."""
    if owner["host"] != socket.gethostname():
        return silent < stale
    try:
        process = psutil.Process(owner["pid"])
        # The start time is reckoned from the wall clock, which may have been set since.
        same = abs(process.create_time() - owner["started"]) < 2
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
