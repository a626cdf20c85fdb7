"""Ray for the length of a study: started quietly, checked against what trials ask for, and gone without a trace."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from study import interrupts
from study.capacity import Capacity, described, planned
from study.shipping import runtime_env
from study.uris import host_and_port
from trainables._lease import gone, identity
from trainables.config import TrialConfig
from trainables.files import glance, write_json
from trainables.settings import ConfigError

logger = logging.getLogger(__name__)

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches the driver
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how often workers' reports are fetched, else every 2 s
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "86400",  # nodes may take their time to come
}
ROOM = 20  # characters of a path that Ray's sockets can lie below: they add up to 85, and the system takes 104
PREFIX = "wm-"
OWNER = ".owner.json"  # whose scratch a folder is
PROBE_SECONDS = 5.0
PENDING = 64  # trials that may wait for nodes to come
LOOK_SECONDS = 1.0  # between looks at how large the cluster is
QUIET_SECONDS = 30.0  # without a word, after which it is said what is waited for
SHOWN = 3  # of what is waited for
STARTS = 3
LOCAL_SLOTS = 1024  # on a cluster of our own, Ray Train trials are limited by what their workers need


def quieten(address: str | None = None) -> None:
    """Set what Ray reads from the environment; before Ray is imported, for it and the processes it starts."""
    # The switch by which Ray listens on loopback alone. It is named after the systems on which Ray sets it by itself.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1" if address and not _on_loopback(address) else "0"
    startups = max(16, os.cpu_count() or 1)  # Ray warns of four times as many processes as it would start at once
    os.environ.update(ENVIRONMENT, RAY_worker_maximum_startup_concurrency=str(startups))


def _temporary() -> Path:
    """The folder for what is temporary, where its path is short enough for Ray."""
    usual = tempfile.gettempdir()
    return Path(usual if len(usual) <= ROOM else "/tmp")


SCRATCH = _temporary()
Share = Callable[[TrialConfig], float]


@contextmanager
def cluster(address: str | None) -> Iterator[Joined]:
    """Ray on this machine, or the cluster at `address`, for the length of a block."""
    import ray

    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _remove_dead()
    scratch = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=SCRATCH))
    write_json(scratch / OWNER, identity())
    here = {
        "address": "local",
        "include_dashboard": False,
        "object_store_memory": 200_000_000,
        "resources": {"trial_slot": LOCAL_SLOTS},
        "_temp_dir": str(scratch),
    }
    quiet = {"log_to_driver": False, "logging_level": "CRITICAL"}
    try:
        with interrupts.kept():
            if address:
                _connect(address, **quiet)
            else:
                _start(**here, **quiet)
        autoscaler = _read_autoscaler() if address else None
        if autoscaler:
            # Else Tune asks for one trial more than run, and nodes would come one by one.
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(PENDING)
        yield Joined(scratch, autoscaler)
    finally:
        with interrupts.shielded():
            ray.shutdown()
            _end_late(scratch)
            shutil.rmtree(scratch, ignore_errors=True)
            _remove_dead()  # again: what a killed driver had started may have written a little longer than it lived


def check_reached(address: str) -> None:
    """ConfigError, and soon, if nothing listens at `address`: Ray itself would try for a minute."""
    place = _place(address)
    try:
        if place:
            socket.create_connection(place, timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _place(address: str) -> tuple[str, int] | None:
    """Host and port; "auto" stands for RAY_ADDRESS, and for what Ray finds (None) where that is not set."""
    return host_and_port(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)


def _on_loopback(address: str) -> bool:
    place = _place(address)
    return place is not None and place[0] in ("127.0.0.1", "localhost", "::1")


def _start(**options: Any) -> None:
    """Ray on this machine, which itself gives up after 30 s where that is busy; ConfigError if it will not start."""
    import ray

    for left in reversed(range(STARTS)):
        try:
            ray.init(**options)
            return
        except Exception as error:  # of Ray's own, of the system, of gRPC, of Python
            ray.shutdown()
            if not left:
                raise ConfigError(f"Ray does not start on this machine ({_words(error)})") from error


def _connect(address: str, **options: Any) -> None:
    """Join the cluster at `address`; ConfigError if that is none."""
    import ray

    try:
        ray.init(address=address, runtime_env=runtime_env(ENVIRONMENT), **options)
    except Exception as error:  # of Ray's own, of the system, of gRPC, of Python
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ConfigError:
    return ConfigError(f"address: {address!r} cannot be reached ({_words(error)})")


def _words(error: Exception) -> str:
    line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {line[:300]}"


class Joined:
    """The cluster that this process is connected to: what it has by now, and what that means for trials.

    `autoscaler` is what `ray up` told the cluster's autoscaler, if it has one; `scratch` goes when Ray does.
    """

    def __init__(self, scratch: Path = SCRATCH, autoscaler: dict[str, Any] | None = None):
        self.scratch = scratch
        self._autoscaler = autoscaler
        self._seen, self._looked = Capacity(()), float("-inf")

    def capacity(self) -> Capacity:
        """What there is and may come to be, as of a moment ago."""
        import ray

        if time.monotonic() - self._looked > LOOK_SECONDS:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._seen = planned(self._autoscaler, nodes) if self._autoscaler else Capacity(nodes)
            self._looked = time.monotonic()
        return self._seen

    def has_gpus(self) -> bool:
        """Whether there are GPUs, or may come to be."""
        return self.capacity().most("GPU") > 0

    def cards(self) -> frozenset[str]:
        """Kinds of GPU that are there by now."""
        return self.capacity().cards

    def check_fits(self, configs: Sequence[TrialConfig], gpu: Share = lambda config: 0.0) -> None:
        """ConfigError if a trial asks for more than the cluster can ever have: it would wait for ever.

        `gpu` gives the share of a GPU that each worker of a trial asks for.
        """
        self._await_a_worker()
        for config in configs:
            if lack := self.capacity().lacks(_bundles(config, gpu)):
                setting = {"GPU": "workers", "trial_slot": "executor"}.get(lack[0], "threads")
                raise ConfigError(f"{setting}: a trial asks for {lack[1]}; choose another with --set {setting}=...")

    def concurrent(self, configs: Sequence[TrialConfig], gpu: Share = lambda config: 0.0) -> int | None:
        """How many trials at a time there is room for by now, None for as many as Tune finds resources for.

        Tune does not see what Ray Train workers need; and where nodes come when asked for, all ask that may fit.
        """
        room = self.capacity()
        seen = [config for config in configs if config.executor == "train" or room.grows]
        return max(1, min(room.at_once(_bundles(config, gpu)) for config in seen)) if seen else None

    def waiting(self) -> str | None:
        """What has been asked of the cluster and cannot be had at present, in words; None if there is nothing."""
        from ray.util import placement_group_table

        groups = [group for group in placement_group_table().values() if group["state"] in ("PENDING", "RESCHEDULING")]
        if not groups:
            return None
        asked = "; ".join(described(group["bundles"].values()) for group in groups[:SHOWN])
        return f"waiting for {asked}; there are {self.capacity()}"

    def _await_a_worker(self) -> None:
        """Wait for the first of the machines of which nobody knows what they have; say so now and then."""
        said = time.monotonic()
        while self.capacity().unknown and len(self.capacity().nodes) == 1:
            time.sleep(LOOK_SECONDS)
            if time.monotonic() - said > QUIET_SECONDS:
                said = time.monotonic()
                logger.warning("waiting for the first of the %d workers of this cluster", self.capacity().unknown)


def _bundles(config: TrialConfig, gpu: Share) -> list[dict[str, float]]:
    """All that a trial holds at once, its workers included; each part on one node."""
    from trainables.trial import resources, worker_resources

    workers = [worker_resources(config, gpu(config))] * config.workers if config.executor == "train" else []
    return [resources(config), *workers]


def _read_autoscaler() -> dict[str, Any] | None:
    """The file that `ray up` gave to this cluster's autoscaler on the head; None if the cluster has none."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    address = ray.get_runtime_context().gcs_address
    head = next(node["NodeID"] for node in ray.nodes() if "node:__internal_head__" in node["Resources"])

    def read() -> str | None:
        import psutil

        for process in psutil.process_iter(["cmdline"]):
            given = dict(part.split("=", 1) for part in process.info["cmdline"] or () if "=" in part)
            if given.get("--gcs-address") == address and "--autoscaling-config" in given:
                return Path(given["--autoscaling-config"]).expanduser().read_text()
        return None

    there = NodeAffinitySchedulingStrategy(head, soft=False)
    text = ray.get(ray.remote(read).options(num_cpus=0, scheduling_strategy=there).remote())
    return text and yaml.safe_load(text)


def _end_late(scratch: Path) -> None:
    """End the workers that were about to start when Ray ended: they would make their folders anew in the scratch."""
    mine = psutil.Process()
    late = [
        process
        for process in psutil.process_iter(["cmdline"])
        if process != mine and any(str(scratch) in part for part in process.info["cmdline"] or ())
    ]
    for process in late:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(late, timeout=PROBE_SECONDS)


def _remove_dead() -> None:
    """Remove the scratch folders of drivers that were killed on this machine, as their own note of them says."""
    for folder in SCRATCH.glob(f"{PREFIX}*-*"):
        owner = glance(folder / OWNER)
        if isinstance(owner, dict) and gone(owner):
            with suppress(FileNotFoundError):  # another driver removes it, too
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a scratch folder, its owner's note last: while something still writes there, it is left for later."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != OWNER:
            entry.unlink(missing_ok=True)
    if [entry.name for entry in folder.iterdir()] == [OWNER]:
        shutil.rmtree(folder, ignore_errors=True)
