"""Machines that are folders: stand-ins for ssh and rsync, with which `ray up` reaches this machine alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TRIES = 3

SSH = """#!/bin/bash
# The host is the first argument with an @ in it; what follows is the command, joined by spaces as ssh does.
while [[ "$1" != *@* ]]; do shift; done
host="${1#*@}"; shift
cd "%(root)s/$host" && HOME="%(root)s/$host" exec bash -c "$*"
"""
RSYNC = """#!%(python)s
import os, shutil, sys
source, target = sys.argv[-2:]
host, path = target.split("@")[1].split(":")
home = os.path.join("%(root)s", host)
path = path.replace("~", home)
assert path.startswith(home + "/") and ".." not in path
os.makedirs(os.path.dirname(path.rstrip("/")), exist_ok=True)
if os.path.isdir(source):
    shutil.copytree(source, path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
else:
    shutil.copy(source, path)
"""
PYTHON = """#!/bin/bash
if [[ "$1 $2" == "-m pip" ]]; then echo "$@" >> "$HOME/pip.log"; exit; fi
exec %(bin)s/python "$@"
"""
RAY = """#!/bin/bash
if [[ "$1" == stop ]]; then exit; fi
exec %(bin)s/ray "$@"
"""


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Machines:
    """A head, a worker and the laptop of whoever runs `ray up`, each a home folder below a short path of our own."""

    HEAD, WORKER = "127.0.0.1", "127.0.0.2"

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="wm", dir="/tmp"))
        self.shims, self.laptop = self.root / "bin", self.root / "laptop"
        self.ports = {name: free_port() for name in ("6379", "8265", "5000", "client", "agent", "agent2")}
        self._write(self.shims / "ssh", SSH)
        self._write(self.shims / "rsync", RSYNC)
        for host in (self.HEAD, self.WORKER):
            self._write(self.root / host / "venv/bin/python", PYTHON)
            self._write(self.root / host / "venv/bin/ray", RAY)
            self._write(self.root / host / "venv/bin/mlflow", '#!/bin/bash\nexec %(bin)s/mlflow "$@"\n')
            for name in (".bashrc", ".bash_profile"):
                self._write(self.root / host / name, f'export PATH="{self.shims}:$PATH"\n')
        self._write(self.laptop / ".ray/auth_token", "0123456789abcdef" * 4)
        self._write(self.laptop / ".ssh/id_ed25519", "no key")

    def config(self, file: Path) -> Path:
        """The cluster file with addresses and ports of this machine, and nothing else changed."""
        ours = re.sub(r"\b(6379|8265|5000)\b", lambda found: str(self.ports[found[1]]), file.read_text())
        content = yaml.safe_load(ours)
        content["cluster_name"] = self.root.name
        content["provider"] |= {"head_ip": self.HEAD, "worker_ips": [self.WORKER]}
        head = f"--dashboard-agent-listen-port={self.ports['agent']} --ray-client-server-port={self.ports['client']}"
        # A folder of its own: nodes that share one take the code of a job away from each other.
        worker = f"--dashboard-agent-listen-port={self.ports['agent2']} --temp-dir={self.root}/w"
        # The autoscaler starts Ray anew where no Ray says that it is at the address.
        worker += f" --node-ip-address={self.WORKER}"
        for key, more in (("head_start_ray_commands", head), ("worker_start_ray_commands", worker)):
            content[key] = [command.replace("ray start", f"ray start {more}") for command in content[key]]
        changed = self.laptop / file.name
        changed.write_text(yaml.safe_dump(content))
        return changed

    def up(self, file: Path) -> None:
        """`ray up`, again if this machine was too busy to start Ray in the 30 s that Ray allows."""
        for _ in range(TRIES):
            done = self.run(BIN / "ray", "up", "-y", "--no-config-cache", self.config(file))
            if done.returncode == 0:
                return
            self.end()
        raise AssertionError(done.stdout)

    def submit(self, environment: str, *command: object) -> subprocess.CompletedProcess:
        """`ray job submit` of a command that runs in a copy of the source tree; again while the head is not ready."""
        place = ("--address", f"http://127.0.0.1:{self.ports['8265']}", "--working-dir", ROOT)
        for _ in range(TRIES):
            done = self.run(BIN / "ray", "job", "submit", *place, "--runtime-env-json", environment, "--", *command)
            if "No available agent" not in done.stdout:
                break
            time.sleep(10)
        return done

    def run(self, *command: object, timeout: float = 300) -> subprocess.CompletedProcess:
        """A command on the laptop, in the source tree."""
        return subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            start_new_session=True,
        )

    def processes(self) -> list[psutil.Process]:
        """Whatever runs with a home of ours, and its children, some of whom write titles over their environment."""
        found = {}
        for process in psutil.process_iter():
            try:
                where = [process.environ().get("HOME", ""), *process.cmdline()]
                if any(f"{self.root}/" in part for part in where) and process.pid != os.getpid():
                    found |= {each.pid: each for each in [process, *process.children(recursive=True)]}
            except psutil.Error:
                continue
        return list(found.values())

    def end(self) -> None:
        """End every process of these machines."""
        while processes := self.processes():
            for process in processes:
                try:
                    process.send_signal(signal.SIGKILL)
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(processes, timeout=5)

    def destroy(self) -> None:
        """No process and no file of these machines is left."""
        self.end()
        shutil.rmtree(self.root, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
        return kept | {
            "HOME": str(self.laptop),
            "PATH": f"{self.shims}:{BIN}:/usr/local/bin:/usr/bin:/bin",
            "RAY_TMPDIR": str(self.root),
            "TMPDIR": str(self.root),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            "RAY_worker_niceness": "0",
            # A machine that is busy otherwise is slow to start anything.
            "RAY_gcs_server_port_wait_time_s": "120",
            "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "120",
            "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "120",
        }

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text % {"root": self.root, "bin": BIN, "python": sys.executable} if "%(" in text else text)
        file.chmod(0o700)
