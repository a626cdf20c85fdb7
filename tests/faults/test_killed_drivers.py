"""SIGKILL of the driver at random instants of its run; the same command again ends as if nothing had happened."""

from __future__ import annotations

import time

import pytest

from tests.faults._studies import SEARCH, TOGETHER, draws, instants, kinds


@kinds(SEARCH, TOGETHER)  # a sweep of arms is killed in tests/study, too
@pytest.mark.parametrize("number", range(instants(30, few=1)))
def test_a_killed_driver(kind, number, undisturbed, tmp_path):
    expected, seconds = undisturbed(kind)
    study, count = kind.make(tmp_path), instants(30, few=1)
    share = (number + draws("driver", kind.name, number).random()) / count
    driver = study.start()
    while driver.process.poll() is None and time.monotonic() - driver.began < share * seconds:
        time.sleep(0.01)
    driver.kill()
    lines = study.journal() if any(study.seen.glob("notes/searches/*/*.jsonl")) else []
    print(f"killed after {share:.0%} of {seconds:.0f} s, {len(study.entries())} entries made: {driver.err!r}")
    study.run()
    assert not lines or study.journal()[: len(lines)] == lines
    study.check(expected)
