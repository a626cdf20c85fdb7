"""A node of a cluster is lost with all that ran on it: the command itself goes on, on those that are left."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.faults._driver import HOOKS, ROOT, TRIAL
from tests.faults._studies import ARMS, instants, kinds


class Nodes:
    """A cluster of three nodes, in a process of its own: a head without cores, two of one core each."""

    def __init__(self):
        # Short, for the sockets in it have long names.
        self.folder = Path(tempfile.mkdtemp(prefix="nodes-", dir="/tmp"))
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        here = {"PYTHONPATH": f"{HOOKS}{os.pathsep}{ROOT}", "WM_CHECKPOINT_SECONDS": "0.3"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "_nodes.py"), str(self.folder), "2"],
            env=os.environ | here | self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.address = self._process.stdout.readline().strip()

    def tell(self, word):
        """ "lose" or "add" a node; returns when it has happened."""
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == word

    def end(self):
        """Every node goes."""
        self._process.communicate()
        shutil.rmtree(self.folder)


@pytest.fixture
def nodes():
    found = Nodes()
    yield found
    found.end()


@kinds(ARMS)
@pytest.mark.parametrize("number", range(instants(3, few=1)))
def test_a_lost_node(kind, number, undisturbed, nodes, tmp_path):
    study = kind.make(tmp_path)
    driver = study.start("--address", nodes.address, scratch=nodes.folder, **nodes.environment)
    driver.until(study.working)
    driver.running(TRIAL)
    nodes.tell("lose")
    finished = study.entries()
    if number % 2:
        nodes.tell("add")
    study.end(driver, finished)
    study.check(undisturbed(kind)[0])
