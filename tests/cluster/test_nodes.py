"""Several nodes: trials spread over those that are there, and neither how many they are nor a loss changes a result."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from ray._common.utils import get_default_ray_temp_dir
from ray.cluster_utils import Cluster

from study import report
from trainables.files import read_json
from trainables.store import Store

ROOT = Path(__file__).parents[2]
PACKAGES = ("analysis", "envs", "search_spaces", "study", "trainables")


class Nodes:
    """A head that trains nothing and workers of one CPU, in folders with short paths of their own."""

    def __init__(self):
        Path(get_default_ray_temp_dir()).mkdir(exist_ok=True)  # where `Cluster` notes its address, wherever it lies
        self._root, self._names = Path(tempfile.mkdtemp(prefix="wm", dir="/tmp")), 0
        head = {"resources": {"trial_slot": 4}, "num_cpus": 0}
        self._cluster = self._started(lambda place: Cluster(initialize_head=True, head_node_args=head | place))
        self.address, self.workers = self._cluster.address, []

    def grow_to(self, count):
        while len(self.workers) < count:
            self.workers.append(self._started(lambda place: self._cluster.add_node(num_cpus=1, **place)))

    def lose(self, worker):
        self.workers.remove(worker)
        self._cluster.remove_node(worker, allow_graceful=False)

    def busy(self):
        """The workers that have a trial's process."""
        return [worker for worker in self.workers if trials(worker)]

    def close(self):
        self._cluster.shutdown()
        shutil.rmtree(self._root, ignore_errors=True)

    def _started(self, start):
        """What start(options) returns: Ray gives a node 30 s to start, on however busy a machine."""
        while True:
            self._names += 1
            # Nodes that share a folder take the code of a job away from each other.
            place = {"temp_dir": str(self._root / str(self._names)), "object_store_memory": 100_000_000}
            try:
                return start(place | {"include_dashboard": False})
            except Exception as error:  # Ray has no name for it
                if self._names > 10 or "timed out during startup" not in str(error):
                    raise


def trials(worker):
    """Processes of trials on a node."""
    [raylet] = worker.all_processes["raylet"]
    try:
        children = psutil.Process(raylet.process.pid).children(recursive=True)
        return [child for child in children if "ray::ImplicitFunc" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def nodes():
    """A cluster without workers, which grows from test to test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # else whatever else runs here comes first
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
    drivers = []

    def run(arguments):
        command = [sys.executable, str(tmp_path / "copy" / "study" / "run.py"), *arguments, "--address", nodes.address]
        out = open(tmp_path / "output", "w")  # noqa: SIM115
        drivers.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT))
        return drivers[-1]

    yield run
    for driver in drivers:
        driver.kill()
        driver.wait()


def until(driver, condition, folder):
    while not condition():
        assert driver.poll() is None, (folder / "output").read_text()
        time.sleep(0.02)


def test_a_trial_that_waits_starts_on_a_node_that_joins(nodes, start, command, tmp_path):
    nodes.grow_to(1)
    driver = start(command(tmp_path / "store", "--seeds", "3", sets={"optim.steps": 100_000}))
    until(driver, lambda: nodes.busy() == nodes.workers, tmp_path)
    nodes.grow_to(len(nodes.workers) + 1)
    until(driver, lambda: nodes.busy() == nodes.workers, tmp_path)
    driver.send_signal(signal.SIGINT)
    assert driver.wait() == 130, (tmp_path / "output").read_text()


@pytest.mark.parametrize("count", [2, 4])
def test_trials_spread_over_nodes_with_the_bits_of_one(
    nodes, start, command, small, undisturbed, untimed, tmp_path, count
):
    """The copy of the code that the driver was started from is what runs, and it says what commit it is of."""
    store, study, busy = Store(tmp_path / "store"), small(seeds=2), set()
    nodes.grow_to(count)
    driver = start(command(store.root, "--seeds", "2"))
    until(driver, lambda: busy.update(map(id, nodes.busy())) or len(busy) > 1, tmp_path)
    assert driver.wait() == 0, (tmp_path / "output").read_text()
    assert untimed(report.folder(study, store)) == untimed(undisturbed[1])
    results = [read_json(file) for file in store.root.glob("train/*/result.json")]
    traces = [read_json(file)["trace"] for file in undisturbed[0].root.glob("train/*/result.json")]
    assert sorted(result["trace"] for result in results) == sorted(traces)
    made = [result["provenance"] for result in results]
    assert {(each["device"], each["commit"], each["dirty"]) for each in made} == {("the copy", "0123abc", True)}


def test_a_node_that_is_lost_takes_no_result_along(nodes, start, command, small, undisturbed, untimed, tmp_path):
    store, study = Store(tmp_path / "store"), small(seeds=2)
    nodes.grow_to(2)
    driver = start(command(store.root, "--seeds", "2"))
    until(driver, lambda: len(nodes.busy()) > 1, tmp_path)
    nodes.lose(nodes.busy()[0])
    assert driver.wait() == 0, (tmp_path / "output").read_text()
    assert untimed(report.folder(study, store)) == untimed(undisturbed[1])
