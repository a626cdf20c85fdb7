"""A driver under test: the command as a process in a session of its own, and what it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from study import cluster

ROOT = Path(__file__).parents[2]
HOOKS = Path(__file__).parent / "_hooks"
CHECKPOINT_SECONDS = "0.3"  # so that a training of seconds has something to go on from
TRIAL, PLANNER, WORKER = "ray::ImplicitFunc", "ray::Planner", "ray::RayTrainWorker"


class Driver:
    """The command, under way. `prefix`: what runs it, such as nsenter; `scratch`: of the cluster that it joins."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        scratch: Path | None = None,
        **environment: str,
    ):
        self._output = [folder / f"driver-{len(list(folder.glob('driver-*')))}.{name}" for name in ("out", "err")]
        paths = os.pathsep.join(filter(None, (str(HOOKS), os.environ.get("PYTHONPATH"))))
        self._environment = {"PYTHONPATH": paths, "WM_CHECKPOINT_SECONDS": CHECKPOINT_SECONDS, **environment}
        with open(self._output[0], "wb") as out, open(self._output[1], "wb") as err:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, str(ROOT / "study" / "run.py"), *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=os.environ | self._environment,
                start_new_session=True,
            )
        self.began = time.monotonic()
        self._scratch = str(scratch or cluster.SCRATCH / f"{cluster.PREFIX}{self.process.pid}-")

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return self._output[0].read_text()

    @property
    def err(self) -> str:
        """What it has said beside that."""
        return self._output[1].read_text()

    def until(self, happened: Callable[[], object]) -> object:
        """Wait for something to become true while the driver runs; what it became."""
        while not (found := happened()):
            assert self.process.poll() is None, f"it ended with {self.process.returncode}\n{self.out}\n{self.err}"
            time.sleep(0.01)
        return found

    def wait(self) -> int:
        """Its exit code, once it has ended and nothing that it started is left."""
        code = self.process.wait()
        self._until_gone()
        return code

    def kill(self) -> None:
        """SIGKILL to the driver alone; returns when Ray has noticed and left nothing behind."""
        self.process.kill()
        self.process.wait()
        self._until_gone()

    def processes(self, title: str = "") -> list[psutil.Process]:
        """What it has started on Ray, of that title."""
        return [process for process in psutil.process_iter() if title in _line(process) and self._ours(process)]

    def running(self, title: str) -> psutil.Process:
        """One of them; waits until there is one."""
        return self.until(lambda: next(iter(self.processes(title)), None))

    def _ours(self, process: psutil.Process) -> bool:
        """Whether the process is of this driver's Ray: its output goes to, or its command line names, the scratch."""
        try:
            return self._scratch in os.readlink(f"/proc/{process.pid}/fd/1") or self._scratch in _line(process)
        except OSError:
            return self._scratch in _line(process)

    def _until_gone(self) -> None:
        """Wait for the end of a cluster of its own."""
        if cluster.PREFIX in self._scratch:
            while self.processes():
                time.sleep(0.05)


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
