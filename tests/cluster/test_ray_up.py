"""`ray up` on the file itself, ssh and rsync standing in for a network; then a study as a job, on a worker."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from analysis.mlflow_records import read_mlflow
from study import report
from trainables.files import read_json
from trainables.store import Store

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def test_a_study_submitted_to_a_cluster_that_ray_up_made(machines, command, small, undisturbed, untimed):
    up = machines.run(BIN / "ray", "up", "-y", "--no-config-cache", machines.config(ROOT / "cluster.onprem.yaml"))
    assert up.returncode == 0, up.stdout
    store, server = Store(machines.root / "shared"), f"http://127.0.0.1:{machines.ports['5000']}"
    study, environment = small(seeds=2), json.dumps({"env_vars": {"WM_COMMIT": "0123abc-dirty"}})
    submit = ("job", "submit", "--address", f"http://127.0.0.1:{machines.ports['8265']}", "--working-dir", ROOT)
    arguments = command(store.root, "--seeds", "2", "--address", "auto", "--tracking-uri", server)
    run = ("--runtime-env-json", environment, "--", "python", "study/run.py", *arguments)
    job = machines.run(BIN / "ray", *submit, *run)
    assert job.returncode == 0, job.stdout

    assert untimed(report.folder(study, store)) == untimed(undisturbed[1])
    results = [read_json(file) for file in store.root.glob("train/*/result.json")]
    assert {(result["provenance"]["commit"], result["provenance"]["dirty"]) for result in results} == {
        ("0123abc", True)
    }
    assert len(results) == len(read_mlflow(server, study.key)) == 4
    for home in (machines.root / machines.HEAD, machines.root / machines.WORKER):
        installed = (home / "pip.log").read_text()
        assert installed == f"-m pip install -q -c {home}/wm-study/constraints.txt -e {home}/wm-study[s3]\n"
        assert (home / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
