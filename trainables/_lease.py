"""Leases: who makes what, among any number of processes on any number of hosts; here those that share a folder."""

import fcntl
import json
import logging
import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from trainables.files import read_json

logger = logging.getLogger(__name__)
# A machine, since it was started, and its name space of processes: where these are the same, process numbers mean the
# same.
PLACE = {"host": str, "boot": str | None, "space": int | None}
PARTS = PLACE | {"pid": int, "started": int | float, "ticks": int | None, "thread": int, "token": str}


class Leases(ABC):
    """Leases by name; `stale` and `poll` in seconds. Where they are kept is up to the kinds below.

    An owner that may still live keeps its lease until its heartbeat has stopped for `stale`; who waits looks again
    every `poll`.
    """

    failures: tuple[type[Exception], ...] = (OSError,)  # of a heartbeat, to be tried again

    def __init__(self, *, stale: float, poll: float):
        self.stale = stale
        self.poll = poll
        self._held: dict[str, tuple[dict, float]] = {}  # what is ours as far as we know, and when it surely was

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Wait for the lease, hold it while the block runs and renew it from a thread; see `Store.lease`."""
        mine = identity()
        self._wait(name, mine)
        with self._renewed(name, mine):
            yield

    @contextmanager
    def attempt(self, name: str) -> Iterator[dict | None]:
        """Hold the lease while the block runs and yield None, or yield the living owner; see `Store.attempt`."""
        mine, first = identity(), None
        while (owner := self._claim(name, mine)) is not None and not self._lives(owner, first):
            first = first or owner
            time.sleep(self.poll)
        if owner is not None:
            yield owner
            return
        with self._renewed(name, mine):
            yield None

    def holds(self, name: str) -> bool:
        """Whether the lease that this process took is still its own; asked anew if that has not been seen for long."""
        mine, seen = self._held.get(name, (None, 0.0))
        if mine is None or _now() - seen < self.stale / 2:
            return mine is not None
        try:
            return self._keep(name, mine)
        except self.failures:
            return True  # as far as can be told; the heartbeat says what is wrong

    @abstractmethod
    def holders(self) -> dict[str, dict]:
        """Owners by lease, and whether they are "alive" as far as can be told at a glance; see `Store.holders`."""

    @contextmanager
    def _renewed(self, name: str, mine: dict) -> Iterator[None]:
        self._held[name] = mine, _now()
        stop = threading.Event()
        heart = threading.Thread(target=self._beat, args=(name, mine, stop), name=f"lease {name}", daemon=True)
        heart.start()
        try:
            yield
        finally:
            stop.set()
            heart.join()
            self._held.pop(name, None)
            self._release(name, mine)

    def _wait(self, name: str, mine: dict) -> None:
        seen = None
        while (owner := self._claim(name, mine)) is not None:
            if owner["token"] != seen:
                logger.info("waiting for %s: process %s on %s makes it", name, owner["pid"], owner["host"])
            seen = owner["token"]
            time.sleep(self.poll)

    def _beat(self, name: str, mine: dict, stop: threading.Event) -> None:
        while not stop.wait(self.stale / 6):
            try:
                if not self._keep(name, mine):
                    logger.warning("the lease of %s was taken over by another process", name)
                    return
            except self.failures as error:
                logger.warning("the lease of %s could not be renewed: %s", name, error)

    def _keep(self, name: str, mine: dict) -> bool:
        """Renew the lease; False, and no longer held, if another process has it."""
        kept = self._renew(name, mine)
        if kept:
            self._held[name] = mine, _now()
        else:
            self._held.pop(name, None)
        return kept

    def _lives(self, owner: dict, first: dict | None) -> bool:
        """Whether an owner who has the lease, and was `first` seen like that, is known to live still."""
        return True

    @abstractmethod
    def _claim(self, name: str, mine: dict) -> dict | None:
        """Take the lease and return None, or return the owner who has it and may live."""

    @abstractmethod
    def _renew(self, name: str, mine: dict) -> bool:
        """Show that we live; False if the lease is no longer ours."""

    @abstractmethod
    def _release(self, name: str, mine: dict) -> None:
        """Give the lease back if it is still ours."""


class FileLeases(Leases):
    """One file per lease in `folder`; an owner on this host is dead as soon as its process is gone."""

    def __init__(self, folder: Path, *, stale: float, poll: float):
        super().__init__(stale=stale, poll=poll)
        self.folder = folder

    @contextmanager
    def mutex(self) -> Iterator[float]:
        """Hold the folder's file lock, which dies with its holder; yields the file system's time in s."""
        with open(self.folder / ".lock", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.utime(file.fileno())
            yield os.fstat(file.fileno()).st_mtime

    def holders(self) -> dict[str, dict]:
        """See `Leases.holders`."""
        found = {}
        for path in self.folder.glob("[!.]*"):
            owner = _owner(path)
            with suppress(FileNotFoundError):  # given back meanwhile
                if owner is not None:
                    alive = _alive(owner, silent=time.time() - path.stat().st_mtime, stale=self.stale)
                    found[path.name] = {**owner, "alive": alive}
        return found

    def _claim(self, name: str, mine: dict) -> dict | None:
        path = self.folder / name
        with self.mutex() as now:
            owner = _owner(path)
            if owner is not None:
                if all(owner[part] == mine[part] for part in (*PLACE, "pid", "ticks", "thread")):
                    raise RuntimeError(f"this thread already holds the lease of {name}")
                # Both times are the file system's, so that hosts whose clocks differ agree.
                if _alive(owner, silent=now - path.stat().st_mtime, stale=self.stale):
                    return owner
                logger.info("%s: taking over from process %s on %s", name, owner["pid"], owner["host"])
            path.write_text(json.dumps(mine))
        return None

    def _renew(self, name: str, mine: dict) -> bool:
        path = self.folder / name
        with self.mutex():
            if _owner(path) != mine:
                return False
            os.utime(path)
        return True

    def _release(self, name: str, mine: dict) -> None:
        path = self.folder / name
        with self.mutex():
            if _owner(path) == mine:
                path.unlink()


def _now() -> float:
    """Seconds that nobody sets, those included for which the machine was asleep where that is known."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def identity() -> dict:
    """This thread, among all on all hosts: what leases and scratch folders name as their owner."""
    process = psutil.Process()
    return {
        **_place(),
        "pid": process.pid,
        "started": process.create_time(),
        "ticks": _ticks(process.pid),
        "thread": threading.get_ident(),
        "token": os.urandom(8).hex(),
    }


def gone(owner: dict) -> bool:
    """Whether an owner was a process of this machine and is no more; of other machines nothing is known."""
    return owner.keys() >= PARTS.keys() and not _alive(owner, silent=0.0, stale=1.0)


def _place() -> dict:
    """Two machines, or containers of one, may have one name, and processes of the same number."""
    boot = space = None
    with suppress(OSError):
        boot, space = Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.stat("/proc/self/ns/pid").st_ino
    return {"host": socket.gethostname(), "boot": boot, "space": space}


def _owner(path: Path) -> dict | None:
    """The lease's owner, None if nobody holds it; one who died while writing the lease never began."""
    try:
        owner = read_json(path)
        return owner if all(isinstance(owner[part], kind) for part, kind in PARTS.items()) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _alive(owner: dict, *, silent: float, stale: float) -> bool:
    """Whether a lease's owner still works: here its process tells, elsewhere only its heartbeat (`silent` s ago)."""
    if any(owner[part] != here for part, here in _place().items()):
        return abs(silent) < stale  # in the future lies what a clock that was set back has left
    try:
        process = psutil.Process(owner["pid"])
        ticks = _ticks(process.pid)
        # The start time is reckoned from the wall clock, which may have been set since.
        same = ticks == owner["ticks"] if ticks else abs(process.create_time() - owner["started"]) < 2
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _ticks(pid: int) -> int | None:
    """When a process began, in ticks since the machine did, which nobody sets; None where /proc does not tell."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None
