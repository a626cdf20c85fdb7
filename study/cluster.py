"""Ray for the length of a study: started quietly, checked against what trials ask for, and gone without a trace."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from study.capacity import Capacity, described, planned
from study.shipping import runtime_env
from study.uris import host_and_port
from trainables.config import TrialConfig
from trainables.settings import ConfigError

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches the driver
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how often workers' reports are fetched, else every 2 s
    "RAY_TRAIN_METRICS_ENABLED": "0",
}
ROOM = 20  # characters of a path that Ray's sockets can lie below: they add up to 85, and the system takes 104
PREFIX = "wm-"
PROBE_SECONDS = 5.0
PENDING = 64  # trials that may wait for nodes to come
SHOWN = 3  # of what is waited for
LOCAL_SLOTS = 1024  # on a cluster of our own, Ray Train trials are limited by what their workers need


def quieten(address: str | None = None) -> None:
    """Set what Ray reads from the environment; before Ray is imported, for it and the processes it starts."""
    # The switch by which Ray listens on loopback alone. It is named after the systems on which Ray sets it by itself.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1" if address else "0"
    startups = max(16, os.cpu_count() or 1)  # Ray warns of four times as many processes as it would start at once
    os.environ.update(ENVIRONMENT, RAY_worker_maximum_startup_concurrency=str(startups))


def _temporary() -> Path:
    """The folder for what is temporary, where its path is short enough for Ray."""
    usual = tempfile.gettempdir()
    return Path(usual if len(usual) <= ROOM else "/tmp")


SCRATCH = _temporary()
_autoscaler: dict[str, Any] = {}  # what `ray up` told the autoscaler of the cluster that this process joined


@contextmanager
def cluster(address: str | None) -> Iterator[Path]:
    """Ray on this machine, or the cluster at `address`; yields a scratch folder that goes when Ray does."""
    import ray

    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _remove_dead()
    scratch = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=SCRATCH))
    here = {
        "address": "local",
        "include_dashboard": False,
        "object_store_memory": 200_000_000,
        "resources": {"trial_slot": LOCAL_SLOTS},
        "_temp_dir": str(scratch),
    }
    quiet = {"log_to_driver": False, "logging_level": "CRITICAL"}
    try:
        if address:
            _connect(address, **quiet)
        else:
            ray.init(**here, **quiet)
        yield scratch
    finally:
        _autoscaler.clear()
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def check_reached(address: str) -> None:
    """ConfigError, and soon, if nothing listens at `address`: Ray itself would try for a minute."""
    # "auto" stands for RAY_ADDRESS if that is set.
    place = host_and_port(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
    try:
        if place:
            socket.create_connection(place, timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _connect(address: str, **options: Any) -> None:
    """Join the cluster at `address`; ConfigError if that is none."""
    import ray

    try:
        ray.init(address=address, runtime_env=runtime_env(ENVIRONMENT), **options)
    except Exception as error:  # of Ray's own, of the system, of gRPC, of Python
        raise _unreachable(address, error) from error
    _autoscaler.update(_read_autoscaler() or {})
    if _autoscaler:
        # Else Tune asks for one trial more than run, and nodes would come one by one.
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(PENDING)


def _unreachable(address: str, error: Exception) -> ConfigError:
    line = next(iter(str(error).strip().splitlines()), "")
    return ConfigError(f"address: {address!r} cannot be reached ({type(error).__name__}: {line[:300]})")


def capacity() -> Capacity:
    """What the cluster that this process is connected to has now, and may come to have."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return planned(_autoscaler, nodes) if _autoscaler else Capacity(nodes)


def check_fits(configs: Sequence[TrialConfig]) -> None:
    """ConfigError if a trial asks for more than the cluster can ever have: it would wait for ever."""
    room = capacity()
    for config in configs:
        if lack := room.lacks(_bundles(config)):
            setting = {"GPU": "workers", "trial_slot": "executor"}.get(lack[0], "threads")
            raise ConfigError(f"{setting}: a trial asks for {lack[1]}; choose another with --set {setting}=...")


def concurrent(configs: Sequence[TrialConfig]) -> int | None:
    """How many trials at a time the cluster has room for by now, None for as many as Tune finds resources for.

    Tune does not see what Ray Train workers need; and where nodes come when they are asked for, all that may fit ask.
    """
    room = capacity()
    seen = [config for config in configs if config.executor == "train" or room.grows]
    return max(1, min(room.at_once(_bundles(config)) for config in seen)) if seen else None


def waiting() -> str | None:
    """What has been asked of the cluster and cannot be had at present, in words; None if there is nothing."""
    from ray.util import placement_group_table

    groups = [group for group in placement_group_table().values() if group["state"] in ("PENDING", "RESCHEDULING")]
    if not groups:
        return None
    asked = "; ".join(described(group["bundles"].values()) for group in groups[:SHOWN])
    return f"waiting for {asked}; there are {capacity()}"


def _bundles(config: TrialConfig) -> list[dict[str, float]]:
    """All that a trial holds at once, its workers included; each part on one node."""
    from trainables.trial import resources, worker_resources

    workers = [worker_resources(config)] * config.workers if config.executor == "train" else []
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


def _remove_dead() -> None:
    """Remove the scratch folders of drivers that were killed."""
    import psutil

    for folder in SCRATCH.glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdecimal() and folder.stat().st_uid == os.getuid() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
