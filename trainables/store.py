"""The content-addressed store: folders that exist whole or not at all, and leases so that each is made once.

Layout below the root: `<key>/` holds an entry and its `manifest.json`; `work/<key>/` unfinished work; `leases/` who
makes what; `quarantine/` entries whose content no longer matched their manifest; `notes/` small JSON documents that
change, and journals, which grow. An entry may live below another one, in its `measures/` folder. The usual way to
make a thing once, in however many processes::

    with store.lease(key):
        folder = store.get(key)
        if folder is None:
            fill(store.work(key))
            folder = store.put(key, store.work(key))
"""

import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from trainables._lease import FileLeases
from trainables._manifest import MANIFEST, Files, mismatch, read_manifest, read_pruned, write_manifest
from trainables._pruning import complete, prune
from trainables.files import append_line, glance, read_json, read_lines, renamed, token, write_json

logger = logging.getLogger(__name__)

RESERVED = ("work", "leases", "quarantine", "notes")
FOREIGN = "the journal {name} has {there} lines where {number} were expected: another process writes it, too"
DIFFERENT = "what was pruned came out different when it was made again"
SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*")
_KEY_LENGTH = 200  # a key with its slashes replaced must fit into one file name


class StoreError(Exception):
    """The store cannot do what was asked: an unwritable root, a key that is none, a folder that cannot be kept."""


class PassingError(StoreError):
    """It could not be done just now, and may be another time: object storage that does not answer, a lease lost."""


class TakenOverError(PassingError):
    """Another process holds the lease of what this one is at, because this one stood still for too long."""


class Store:
    """Entries (folders of files) by key below one root; safe for any number of processes on any number of hosts.

    A key is a posix path such as "train/ff00aa/measures/success_rate-0a1b". Across hosts a lease whose owner has not
    been heard of for `stale` seconds is taken over; waiting for a lease looks again every `poll` seconds.
    Raises StoreError naming the path when the root is to be `writable` and cannot be created or written; one that is
    not is only looked at.
    """

    def __init__(self, root: str | os.PathLike, *, stale: float = 60.0, poll: float = 0.1, writable: bool = True):
        self.root, self._writable = Path(root).expanduser().resolve(), writable
        self._leases = FileLeases(self.root / "leases", stale=stale, poll=poll)
        if writable:
            self._prepare()

    def _prepare(self) -> None:
        try:
            for name in RESERVED:
                (self.root / name).mkdir(parents=True, exist_ok=True)
            # Permission bits say nothing on a full disk or a read-only mount, nor to root: only writing tells.
            write_json(self.root / "leases" / ".probe", None)
        except OSError as error:
            raise StoreError(f"the store {self.root} cannot be written: {error}") from error

    @property
    def uri(self) -> str:
        """What another process opens the same store by."""
        return str(self.root)

    def get(self, key: str, *, whole: bool = False) -> Path | None:
        """The folder of `key`, its content verified (each file once per process), or None where there is none.

        An entry whose content does not match its manifest is moved to quarantine with a warning, and None returned.
        `whole`: None as well if files were pruned from it.
        """
        folder = self._folder(key)
        try:
            seen = folder.stat().st_ino
            (folder / MANIFEST).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if mismatch(folder, key) is None:
            return None if whole and read_pruned(folder, key) else folder
        moved = self._writable and self._quarantine(key, folder, seen)
        return None if moved or not self._writable else self.get(key, whole=whole)

    def put(self, key: str, folder: str | os.PathLike) -> Path:
        """Move `folder` into the store as `key` and return where it lies; `folder` is gone afterwards.

        The first valid entry wins: if there is one already it is kept and `folder` deleted. Killed at any point,
        either the entry is whole or `folder` is still there. `folder` lies on the root's file system (as `work(key)`
        does) and holds files and folders only, else StoreError; its own `measures/` folder is not in the manifest.
        An entry from which files were pruned gets them back, and keeps its others. If they came out different this
        time, it goes to quarantine with the entries below it, which were made from what it had before.
        """
        return self._keep(key, self._sealed(key, folder))

    def prune(self, key: str, names: Iterable[str]) -> int:
        """Delete the files `names` of an entry; its manifest says so, and the rest stays an entry. Bytes freed.

        Killed at any point, the entry is sound, and doing it again ends it.
        """
        folder = self._folder(key)
        with self._leases.mutex():
            try:
                return prune(folder, key, names) if read_manifest(folder, key) is not None else 0
            except ValueError as error:
                raise StoreError(str(error)) from error

    def document(self, key: str, name: str) -> Any | None:
        """The JSON file `name` of the entry `key`; None where there is no such entry."""
        folder = self.get(key)
        return None if folder is None else read_json(folder / name)

    def documents(self, wanted: Iterable[tuple[str, str]]) -> list[Any | None]:
        """The JSON files (key, name) as they are, to learn from; None for what is not there or cannot be read."""
        return [glance(self._folder(key) / name) for key, name in wanted]

    def _sealed(self, key: str, folder: str | os.PathLike) -> Path:
        """The folder with its manifest; StoreError for one that cannot be `put`."""
        target, source = self._folder(key), Path(folder).resolve()
        if not source.is_dir() or source == target or source in target.parents:
            raise StoreError(f"{folder} cannot be stored as {key!r}: it must be a folder outside of that entry")
        if source.stat().st_dev != self.root.stat().st_dev:
            raise StoreError(f"{folder} is on another file system than the store {self.root}: make it in work({key!r})")
        try:
            write_manifest(source, key)
        except ValueError as error:
            raise StoreError(str(error)) from error
        return source

    def _keep(self, key: str, source: Path) -> Path:
        """Move a sealed folder to where `key` lies."""
        target = self._folder(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        while not renamed(source, target):
            if self.get(key) is not None:
                if not complete(target, key, source):
                    self._quarantine(key, target, target.stat().st_ino, DIFFERENT)
                    continue
                shutil.rmtree(source)
                break
            self._clear_debris(key, target)
        return target

    def lease(self, key: str) -> AbstractContextManager[None]:
        """Context manager: wait until `key` is ours alone to make, hold it while the block runs, renewed by a thread.

        A dead owner's lease is taken over: on this host as soon as its process is gone, from another host when its
        heartbeat has stopped. Threads of one process wait for each other; a thread that asks for a lease which it
        holds already gets a RuntimeError, for it would wait for ever.
        """
        self._folder(key)
        return self._leases.hold(flat(key))

    def attempt(self, key: str) -> AbstractContextManager[dict[str, Any] | None]:
        """Like `lease`, but who finds it taken does not wait: the block runs with the living owner, else with None."""
        self._folder(key)
        return self._leases.attempt(flat(key))

    def holds(self, key: str) -> bool:
        """Whether the lease of `key` that this process took is still its own, though it may have stood still."""
        return self._leases.holds(flat(key))

    def holders(self) -> dict[str, dict[str, Any]]:
        """Who holds which lease, by `flat` key: "host", "pid", "started" (unix s), "alive"; nothing is written."""
        return self._leases.holders()

    def work(self, key: str) -> Path:
        """The scratch folder of `key`, created when missing. Whatever a killed process left there is still there."""
        folder = self._scratch(key)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save_work(self, key: str) -> None:
        """Let what is in `work(key)` outlive this node; nothing to do where the folder does so by itself."""

    def restore_work(self, key: str) -> None:
        """Make `work(key)` what was saved last, on whichever node; nothing to do where `save_work` does nothing."""

    def drop_work(self, key: str) -> None:
        """Delete the scratch folder of `key` and what was saved of it."""
        shutil.rmtree(self.work(key))

    def saved(self, key: str, name: str) -> Any | None:
        """The JSON file `name` of the unfinished work on `key`, as it was saved last; None if there is none."""
        return glance(self._scratch(key, name))

    def report(self, name: str) -> Path:
        """The folder of the report `name`, with what there is of it; it may not be there yet."""
        return self._folder(f"reports/{name}")

    def publish(self, name: str) -> None:
        """Keep the report's folder with the store; nothing to do where it lies in the store."""

    def write(self, name: str, value: Any) -> None:
        """Keep `value`, which JSON knows, as the note `name`: whole or not at all, in place of the one before."""
        write_json(self._note(name, "json", new=True), value)

    def read(self, name: str) -> Any | None:
        """The value of the note `name`; None where there is none, ValueError if it is damaged."""
        file = self._note(name, "json")
        return read_json(file) if file.is_file() else None

    def append(self, name: str, number: int, line: Any) -> None:
        """Add line `number`, from 0, to the journal `name`; when this returns, it is on disk.

        StoreError if the journal has not that many lines by now, as when another process took over from one that stood
        still: so nobody adds to what they have not read.
        """
        with self._leases.mutex():
            there = append_line(self._note(name, "jsonl", new=True), number, line)
        if there is not None:
            raise StoreError(FOREIGN.format(name=name, there=there, number=number))

    def lines(self, name: str) -> list[Any]:
        """The lines of the journal `name`, without one that a killed process did not end; ValueError if damaged."""
        return read_lines(self._note(name, "jsonl"))

    def forget(self, name: str) -> None:
        """Remove the note `name` if it is there."""
        self._note(name, "json").unlink(missing_ok=True)

    def notes(self, prefix: str = "") -> list[str]:
        """Sorted names of the notes and journals that start with `prefix`."""
        root = self.root / "notes"
        names = {file.relative_to(root).with_suffix("").as_posix() for file in root.rglob("[!.]*.json*")}
        return sorted(name for name in names if name.startswith(prefix))

    def files(self) -> Iterator[tuple[str, int, float]]:
        """(name below the root, bytes, unix s of its last change) of everything that lies in the store."""
        for folder, _, names in os.walk(self.root):
            for name in names:
                file = Path(folder, name)
                with suppress(FileNotFoundError):  # it was moved meanwhile
                    stat = file.lstat()
                    yield file.relative_to(self.root).as_posix(), stat.st_size, stat.st_mtime

    def keys(self, prefix: str = "") -> list[str]:
        """Sorted keys that start with `prefix` and have a manifest in order; contents are not verified."""
        return sorted(key for key, _ in self._entries(prefix) if key.startswith(prefix))

    def size(self) -> int:
        """Bytes of all entries, after their manifests."""
        return sum(size for _, files in self._entries() for size, _ in files.values())

    def _entries(self, prefix: str = "") -> Iterator[tuple[str, Files]]:
        """(key, files) of every manifest in order; `os.walk` passes over folders that are moved meanwhile."""
        for name, below, files in os.walk(self.root):
            folder = Path(name)
            if folder == self.root:
                below[:] = [entry for entry in below if entry not in RESERVED]
            key = folder.relative_to(self.root).as_posix()
            if MANIFEST in files and (listed := read_manifest(folder, key)) is not None:
                yield key, listed

    def _note(self, name: str, suffix: str, new: bool = False) -> Path:
        """The file of a note, with its folder if `new`. StoreError for a name that is malformed or leads elsewhere."""
        self._folder(name)
        file = self.root / "notes" / f"{name}.{suffix}"
        if new:
            file.parent.mkdir(parents=True, exist_ok=True)
        if file.resolve() != file:
            raise StoreError(f"the note {name!r} leads out of its place in the store {self.root} by a symbolic link")
        return file

    def _folder(self, key: str) -> Path:
        """Where `key` lies. Raises StoreError for a key that is malformed, reserved or leads out of the root."""
        parts = key.split("/")
        well_formed = len(key) <= _KEY_LENGTH and all(SEGMENT.fullmatch(part) for part in parts)
        if not well_formed or parts[0].lower() in RESERVED or MANIFEST in parts:
            raise StoreError(f"{key!r} is not a valid key of the store {self.root}")
        folder = self.root / key
        if folder.resolve() != folder:
            raise StoreError(f"the key {key!r} leads out of its place in the store {self.root} by a symbolic link")
        return folder

    def _scratch(self, key: str, name: str = "") -> Path:
        """Where the unfinished work on `key` lies, or its file `name`. StoreError if a link leads from there."""
        self._folder(key)
        place = self.root / "work" / key / name
        if place.resolve() != place:
            raise StoreError(f"the work on {key!r} leads out of its place in the store {self.root} by a symbolic link")
        return place

    def _quarantine(self, key: str, folder: Path, seen: int, why: str | None = None) -> bool:
        """Move an entry aside for that reason, or if it is damaged; False if it is another one by now, or sound."""
        place = self.root / "quarantine" / f"{flat(key)}~{token()}"
        with self._leases.mutex():
            # Another process may have moved the bad folder and put a good one since we looked.
            if not folder.exists() or folder.stat().st_ino != seen:
                return False
            # Or its manifest may have come to say that what we missed was pruned.
            wrong = why or mismatch(folder, key)
            if wrong is None:
                return False
            os.rename(folder, place)
        logger.warning("%s is damaged (%s): moved to %s", key, wrong, place)
        return True

    def _clear_debris(self, key: str, target: Path) -> None:
        """Make way for a new entry where something without a manifest lies."""
        if target.exists() and not (target / MANIFEST).exists():
            self._quarantine(key, target, target.stat().st_ino, f"{MANIFEST} is missing")


def flat(key: str) -> str:
    """The key as one file name."""
    return key.replace("/", "~")
