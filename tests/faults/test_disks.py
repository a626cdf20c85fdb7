"""A disk that fills up or can only be read, before and while a study runs: one clear line, then the same command."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults._studies import ARMS, SEARCH, kinds


class Disk:
    """A small disk in a name space of its own, so that nobody has to be root and nothing stays mounted.

    `prefix` runs a command where the disk is mounted at `place`; this process sees its content at `seen`.
    """

    def __init__(self, place: Path, size: str):
        place.mkdir()
        mount = f'mount -t tmpfs -o size={size} none "{place}" && echo mounted && exec sleep infinity'
        self._holder = subprocess.Popen(["unshare", "-rm", "sh", "-c", mount], stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout.readline() == "mounted\n"
        pid = self._holder.pid
        self.place, self.seen = place, Path(f"/proc/{pid}/root{place}")
        self.prefix = ["nsenter", "-t", str(pid), "-U", "-m", "--preserve-credentials", "--"]

    def full(self) -> None:
        """Fill it to the last byte."""
        filled = subprocess.run(["dd", "if=/dev/zero", f"of={self.seen}/filler", "bs=4k"], stderr=subprocess.PIPE)
        assert b"No space left" in filled.stderr

    def roomy(self) -> None:
        """Make room again."""
        (self.seen / "filler").unlink()

    def mode(self, mode: str) -> None:
        """ "ro" or "rw"; waits for an instant at which no file is open for writing."""
        while subprocess.run(
            [*self.prefix, "mount", "-o", f"remount,{mode}", str(self.place)], capture_output=True
        ).returncode:
            time.sleep(0.001)

    def bring(self) -> None:
        """Copy its content to the place itself, as this process sees that, and end it."""
        shutil.copytree(self.seen, self.place, dirs_exist_ok=True)
        self.end()

    def end(self) -> None:
        """It is gone with what is on it."""
        self._holder.kill()
        self._holder.wait()


@pytest.fixture
def disk(tmp_path):
    found = Disk(tmp_path / "disk", "64m")
    yield found
    found.end()


def stopped(driver, why):
    """The driver ended with one line that says why."""
    assert driver.wait() == 1, driver.err
    assert "Traceback" not in driver.err
    (line,) = [line for line in driver.err.splitlines() if line.startswith("error: ")]
    assert why in line
    assert "the same command goes on" in driver.err


@kinds(SEARCH)
def test_a_full_disk(kind, undisturbed, disk, tmp_path):
    study = kind.make(tmp_path, store=disk.place / "store", seen=disk.seen / "store")
    disk.full()
    stopped(study.start(prefix=disk.prefix), "No space left on device")
    disk.roomy()
    driver = study.start(prefix=disk.prefix)
    driver.until(study.working)
    disk.full()
    stopped(driver, "No space left on device")
    disk.roomy()
    study.run(prefix=disk.prefix)
    disk.bring()
    study.check(undisturbed(kind)[0])


@kinds(ARMS)
def test_a_read_only_store(kind, undisturbed, disk, tmp_path):
    study, uri = (
        kind.make(tmp_path, store=disk.place / "store", seen=disk.seen / "store"),
        f"sqlite:///{tmp_path}/record",
    )
    elsewhere = ("--tracking-uri", uri)  # a database keeps its file open for writing
    disk.mode("ro")
    stopped(study.start(*elsewhere, prefix=disk.prefix), "Read-only file system")
    disk.mode("rw")
    driver = study.start(*elsewhere, prefix=disk.prefix)
    driver.until(study.working)
    disk.mode("ro")
    stopped(driver, "Read-only file system")
    disk.mode("rw")
    study.run(*elsewhere, prefix=disk.prefix)
    disk.bring()
    study.check(undisturbed(kind)[0], uri)
