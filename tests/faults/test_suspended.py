"""A driver and all it started stand still for longer than leases last: another host takes over, the first one stops."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress

import psutil

from study import claim
from tests.faults._studies import SEARCH, kinds
from trainables.store import Store

STALE = 10.0


@contextmanager
def asleep(driver):
    """Nothing of the driver's runs during the block."""
    processes = [psutil.Process(driver.process.pid), *driver.processes()]
    try:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        yield
    finally:
        for process in reversed(processes):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


@kinds(SEARCH)
def test_a_suspended_driver(kind, undisturbed, tmp_path):
    study, seen = kind.make(tmp_path), Store(tmp_path / "store", stale=STALE)
    owner = lambda: claim.owner_of(study.key, seen.holders())  # noqa: E731
    first, second = ({"WM_HOST": host, "WM_STALE_SECONDS": str(STALE)} for host in ("first", "second"))
    sleeper = study.start(**first)
    sleeper.until(lambda: study.trained() and study.working())
    with asleep(sleeper):
        while owner()["alive"]:
            time.sleep(0.1)
        finished = study.entries()
        driver = study.start(**second)
        driver.until(lambda: owner()["host"] == "second")
        driver.until(lambda: study.trained() > 1 and study.working())
    assert sleeper.wait() == 1, sleeper.err
    (line,) = [line for line in sleeper.err.splitlines() if line.startswith("error: ")]
    assert f"{study.key} was taken over by process {driver.process.pid} on second since" in line
    study.end(driver, finished)
    study.check(undisturbed(kind)[0])
