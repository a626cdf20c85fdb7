"""What a stage was made by: commit, dirtiness, versions, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "timm", "ray", "optuna", "mlflow", "gymnasium", "pyarrow", "scikit-learn")
COMMIT = "WM_COMMIT"  # environment variable: what `commit` says, where the code came without its repository
DIRTY = "-dirty"


@cache
def provenance() -> dict[str, Any]:
    """Commit and dirtiness of this source tree ("unknown" outside git), versions of what computes, and the device."""
    return {"commit": commit().removesuffix(DIRTY), "dirty": commit().endswith(DIRTY), **_machine()}


@cache
def commit() -> str:
    """The commit of this source tree with "-dirty" behind it if anything is changed, as WM_COMMIT or git says."""
    if told := os.environ.get(COMMIT):
        return told
    return (_git("rev-parse", "HEAD") or "unknown") + (DIRTY if _git("status", "--porcelain") else "")


def _machine() -> dict[str, Any]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu {_cpu()}"
    return {"device": device, "versions": {"python": platform.python_version(), **_versions()}}


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
