"""MLflow's server goes down while a study runs: it costs a warning, and the same command fills in the record."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.faults._studies import ARMS, kinds


class Server:
    """MLflow's server on a port of its own, as a process that can be killed and started again."""

    def __init__(self, folder):
        self._folder = folder
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self._port = taken.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"

    def up(self):
        """Start it; returns when it answers."""
        place = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        kept = ["--backend-store-uri", f"sqlite:///{self._folder}/server.db", "--artifacts-destination", "artifacts"]
        with open(self._folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *place, *kept],
                cwd=self._folder,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            time.sleep(0.1)

    def down(self):
        """SIGKILL to it and its workers."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self):
        try:
            return urllib.request.urlopen(f"{self.uri}/health", timeout=5).status == 200
        except OSError:
            return False


@pytest.fixture
def server(tmp_path):
    found = Server(tmp_path)
    yield found
    found.down()


@kinds(ARMS)
def test_a_tracking_server_that_goes_down_and_comes_back(kind, undisturbed, server, tmp_path):
    study = kind.make(tmp_path / "study")
    server.up()
    driver = study.start("--tracking-uri", server.uri)
    driver.until(lambda: "[1/" in driver.err)
    server.down()
    study.end(driver, study.entries())
    assert driver.err.count("the tracking server") == 1
    server.up()
    study.run("--tracking-uri", server.uri)
    study.check(undisturbed(kind)[0], server.uri)
