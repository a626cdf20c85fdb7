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


def _unreachable(address: str, error: Exception) -> ConfigError:
    line = next(iter(str(error).strip().splitlines()), "")
    return ConfigError(f"address: {address!r} cannot be reached ({type(error).__name__}: {line[:300]})")


def check_fits(configs: Sequence[TrialConfig]) -> None:
    """ConfigError if a trial asks for more than the cluster has: it would wait for ever."""
    import ray

    have = ray.cluster_resources()
    for config in configs:
        for name, count in _needed(config).items():
            if count > have.get(name, 0):
                setting = {"GPU": "workers", "trial_slot": "executor"}.get(name, "threads")
                raise ConfigError(
                    f"{setting}: a trial asks for {count:g} {name}, the cluster has {have.get(name, 0):g}; "
                    f"choose another with --set {setting}=..."
                )


def concurrent(configs: Sequence[TrialConfig]) -> int | None:
    """Trials at a time, None for as many as Tune thinks fit: it does not see what Ray Train workers need."""
    import ray

    have = ray.cluster_resources()
    wanted = [_needed(config) for config in configs if config.executor == "train"]
    return min((int(have[name] // count) for needed in wanted for name, count in needed.items()), default=None)


def _needed(config: TrialConfig) -> dict[str, float]:
    """All that a trial holds at once, its workers included."""
    from trainables.trial import resources, worker_resources

    if config.executor != "train":
        return resources(config)
    workers = {name: count * config.workers for name, count in worker_resources(config).items()}
    return resources(config) | workers


def _remove_dead() -> None:
    """Remove the scratch folders of drivers that were killed."""
    import psutil

    for folder in SCRATCH.glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdecimal() and folder.stat().st_uid == os.getuid() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
