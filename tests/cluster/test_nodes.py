"""Several nodes: trials spread over those that are there, and neither how many they are nor a loss changes a result."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from ray.cluster_utils import Cluster

from study import report
from trainables.files import read_json
from trainables.store import Store

ROOT = Path(__file__).parents[2]
PACKAGES = ("analysis", "envs", "search_spaces", "study", "trainables")


class Nodes:
    """A head that trains nothing and nodes of one CPU, in folders with short paths of their own."""

    def __init__(self):
        self._root = Path(tempfile.mkdtemp(prefix="wm", dir="/tmp"))
        self._cluster = Cluster(
            initialize_head=True, head_node_args=self._options("h", num_cpus=0) | {"resources": {"trial_slot": 4}}
        )
        self.address, self.workers = self._cluster.address, []

    def add(self, count):
        for _ in range(count):
            self.workers.append(self._cluster.add_node(**self._options(str(len(self.workers)), num_cpus=1)))

    def lose(self, number):
        self._cluster.remove_node(self.workers[number], allow_graceful=False)

    def trials(self, number):
        """Processes of trials on a node."""
        [raylet] = self.workers[number].all_processes["raylet"]
        try:
            children = psutil.Process(raylet.process.pid).children(recursive=True)
            return [child for child in children if "ray::ImplicitFunc" in " ".join(child.cmdline())]
        except psutil.Error:
            return []

    def close(self):
        self._cluster.shutdown()
        shutil.rmtree(self._root, ignore_errors=True)

    def _options(self, name, **more):
        # Nodes that share a folder take the code of a job away from each other.
        return {
            "temp_dir": str(self._root / name),
            "object_store_memory": 100_000_000,
            "include_dashboard": False,
            **more,
        }


@pytest.fixture
def nodes():
    """A cluster without workers, gone afterwards."""
    made = Nodes()
    yield made
    made.close()


@pytest.fixture
def start(nodes, tmp_path):
    """The function that starts the command line on the cluster, from a copy of our packages that says so in records."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "copy" / "trainables" / "provenance.py"
    file.write_text(file.read_text().replace('f"cpu {_cpu()}"', '"the copy"'))
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "copy"), "WM_COMMIT": "0123abc-dirty"}
    environment.pop("RAY_ADDRESS", None)
    started = []

    def run(arguments):
        command = [sys.executable, str(tmp_path / "copy" / "study" / "run.py"), *arguments, "--address", nodes.address]
        out = open(tmp_path / "output", "w")  # noqa: SIM115
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT))
        return started[-1]

    yield run
    for driver in started:
        driver.kill()
        driver.wait()


def until(driver, condition, folder):
    while not condition():
        assert driver.poll() is None, (folder / "output").read_text()
        time.sleep(0.02)


def test_trials_spread_over_nodes_as_they_come_with_the_bits_of_one(
    nodes, start, command, small, undisturbed, untimed, tmp_path
):
    store, study, busy = Store(tmp_path / "store"), small(seeds=2), set()

    def seen():
        busy.update(number for number in range(len(nodes.workers)) if nodes.trials(number))
        return len(busy)

    nodes.add(2)
    driver = start(command(store.root, "--seeds", "2"))
    until(driver, lambda: seen() == 2, tmp_path)
    nodes.add(2)
    until(driver, lambda: seen() == 4, tmp_path)
    assert driver.wait() == 0, (tmp_path / "output").read_text()
    assert untimed(report.folder(study, store)) == untimed(undisturbed[1])
    results = [read_json(file) for file in store.root.glob("train/*/result.json")]
    traces = [read_json(file)["trace"] for file in undisturbed[0].root.glob("train/*/result.json")]
    assert sorted(result["trace"] for result in results) == sorted(traces)
    made = {
        (each["provenance"]["device"], each["provenance"]["commit"], each["provenance"]["dirty"]) for each in results
    }
    assert made == {("the copy", "0123abc", True)}


def test_a_node_that_is_lost_takes_no_result_along(nodes, start, command, small, undisturbed, untimed, tmp_path):
    store, study = Store(tmp_path / "store"), small(seeds=2)
    nodes.add(2)
    driver = start(command(store.root, "--seeds", "2"))
    until(driver, lambda: nodes.trials(0) and nodes.trials(1), tmp_path)
    nodes.lose(0)
    assert driver.wait() == 0, (tmp_path / "output").read_text()
    assert "it is tried again" in (tmp_path / "output").read_text()
    assert untimed(report.folder(study, store)) == untimed(undisturbed[1])
