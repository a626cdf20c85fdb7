"""A driver stands still for longer than leases last: another host takes over, and the first one, once awake, leaves."""

from __future__ import annotations

import signal
import time

from study import claim
from tests.faults._studies import SEARCH, kinds
from trainables.store import Store

STALE = 10.0


@kinds(SEARCH)
def test_a_suspended_driver(kind, undisturbed, tmp_path):
    study = kind.make(tmp_path)
    first, second = ({"WM_HOST": host, "WM_STALE_SECONDS": str(STALE)} for host in ("first", "second"))
    suspended = study.start(**first)
    suspended.until(lambda: study.trained() and study.working())
    suspended.process.send_signal(signal.SIGSTOP)
    seen = Store(study.store, stale=STALE, writable=False)
    while claim.owner_of(study.key, seen.holders())["alive"]:
        time.sleep(0.1)
    finished = study.entries()
    driver = study.start(**second)
    driver.until(lambda: claim.owner_of(study.key, seen.holders())["host"] == "second")
    driver.until(lambda: study.trained() > 1 and study.working())
    suspended.process.send_signal(signal.SIGCONT)
    assert suspended.wait() == 1
    (line,) = [line for line in suspended.err.splitlines() if line.startswith("error: ")]
    assert f"{study.key} was taken over by process {driver.process.pid} on second since" in line
    study.end(driver, finished)
    study.check(undisturbed(kind)[0])
