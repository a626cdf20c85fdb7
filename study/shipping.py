"""The code that a cluster's workers run: this source tree and its commit, sent along unless a job brought them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from trainables.provenance import COMMIT, commit

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("analysis", "envs", "search_spaces", "study", "trainables")
JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # what Ray tells the command of a submitted job about itself


def runtime_env(variables: dict[str, str]) -> dict[str, Any]:
    """Ray's runtime environment for workers anywhere: our packages, what commit they are of, and `variables`.

    What the job that this process belongs to has set already is left out, for Ray refuses to be told twice.
    """
    job = json.loads(os.environ.get(JOB, "{}")).get("runtime_env", {})
    variables = {COMMIT: commit(), **variables}
    told = {name: value for name, value in variables.items() if name not in job.get("env_vars", {})}
    if "working_dir" in job or "py_modules" in job:
        return {"env_vars": told}
    return {"env_vars": told, "py_modules": [str(ROOT / name) for name in PACKAGES], "excludes": ["__pycache__"]}


if __name__ == "__main__":
    print(json.dumps({"env_vars": {COMMIT: commit()}}))  # for `ray job submit`, which brings the tree itself
