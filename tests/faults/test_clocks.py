"""The clock is set by a day, ahead or back, while a study runs, and again before the same command."""

from __future__ import annotations

import os
import time

import pytest

from tests.faults._studies import ALL, ARMS, kinds

DAY = 86400


@kinds(ARMS)
@pytest.mark.parametrize("by", [DAY, -DAY] if ALL else [DAY])
def test_a_clock_that_jumps(kind, by, undisturbed, tmp_path):
    study, clock = kind.make(tmp_path), tmp_path / "clock"
    driver = study.start(WM_CLOCK=str(clock))
    driver.until(study.working)
    clock.write_text(str(by))
    driver.until(lambda: "[2/" in driver.err)
    driver.kill()
    for lease in (study.store / "leases").iterdir():
        os.utime(lease, (time.time() + by,) * 2)
    clock.write_text(str(-by))
    study.run(WM_CLOCK=str(clock))
    study.check(undisturbed(kind)[0])
