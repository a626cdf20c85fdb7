"""Leases: who makes what, among any number of processes on any number of hosts that share a folder."""

import fcntl
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)


class Leases:
    """Leases by name, one file each in `folder`; `stale` and `poll` in seconds.

    An owner on this host is dead as soon as its process (pid and start time) is gone, an owner on another host when
    its heartbeat has stopped for `stale`. A waiting process looks again every `poll`.
    """

    def __init__(self, folder: Path, *, stale: float, poll: float):
        self.folder = folder
        self.stale = stale
        self.poll = poll

    @contextmanager
    def mutex(self) -> Iterator[float]:
        """Hold the folder's file lock, which dies with its holder; yields the file system's time in s."""
        with open(self.folder / ".lock", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.utime(file.fileno())
            yield os.fstat(file.fileno()).st_mtime

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Wait for the lease, hold it while the block runs and renew it from a thread; see `Store.lease`."""
        path, mine = self.folder / name, _identity()
        self._wait(path, mine)
        stop = threading.Event()
        heart = threading.Thread(target=self._beat, args=(path, mine, stop), name=f"lease {name}", daemon=True)
        heart.start()
        try:
            yield
        finally:
            stop.set()
            heart.join()
            with self.mutex():
                if _owner(path) == mine:
                    path.unlink()

    def _wait(self, path: Path, mine: dict) -> None:
        seen = None
        while (owner := self._claim(path, mine)) is not None:
            if owner != seen:
                logger.info("waiting for %s: process %s on %s makes it", path.name, owner["pid"], owner["host"])
            seen = owner
            time.sleep(self.poll)

    def _claim(self, path: Path, mine: dict) -> dict | None:
        """Take the lease and return None, or return the living owner who has it."""
        with self.mutex() as now:
            owner = _owner(path)
            if owner is not None:
                if all(owner[part] == mine[part] for part in ("host", "pid", "started", "thread")):
                    raise RuntimeError(f"this thread already holds the lease of {path.name}")
                # Both times are the file system's, so that hosts whose clocks differ agree.
                if _alive(owner, silent=now - path.stat().st_mtime, stale=self.stale):
                    return owner
                logger.info("%s: taking over from process %s on %s", path.name, owner["pid"], owner["host"])
            path.write_text(json.dumps(mine))
        return None

    def _beat(self, path: Path, mine: dict, stop: threading.Event) -> None:
        while not stop.wait(self.stale / 6):
            try:
                with self.mutex():
                    if _owner(path) != mine:
                        logger.warning("the lease of %s was taken over by another process", path.name)
                        return
                    os.utime(path)
            except OSError as error:
                logger.warning("the lease of %s could not be renewed: %s", path.name, error)


def _identity() -> dict:
    process = psutil.Process()
    return {
        "host": socket.gethostname(),
        "pid": process.pid,
        "started": process.create_time(),
        "thread": threading.get_ident(),
        "token": os.urandom(8).hex(),
    }


def _owner(path: Path) -> dict | None:
    """The lease's owner, None if nobody holds it; one who died while writing the lease never began."""
    try:
        return json.loads(path.read_text())
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
