"""Faults are tried on the smallest studies; WM_FAULTS=all (`make faults`) tries each at more instants, on every kind.

What is drawn at random comes from WM_FAULTS_SEED and is printed.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from study import cluster

pytest.register_assert_rewrite("tests.faults._studies")
from tests.faults._studies import SEARCH, Kind, Study  # noqa: E402  its assertions are explained, too

cluster.quieten()


def pytest_collection_modifyitems(items):
    """A study that another process holds up may take its time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The function that gives a study of a kind which nothing befell, and its seconds: run once for all tests.

    Where every study of a kind is another one, it is the search of one trial at a time, for what it takes.
    """
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place

    def find(kind: Kind) -> tuple[Study, float]:
        kind = kind if kind.repeats else SEARCH
        study = kind.make(place / f"undisturbed-{kind.name}")
        seconds = study.place / "seconds"
        with open(study.place / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not seconds.exists():
                began = time.monotonic()
                study.run()
                seconds.write_text(str(time.monotonic() - began))
        return study, float(seconds.read_text())

    return find
