"""`ray up` on the file itself, ssh and rsync standing in for a network; then a study as a job, on a worker."""

from __future__ import annotations

import json
from pathlib import Path

from analysis.mlflow_records import read_mlflow
from study import report
from trainables.files import read_json
from trainables.store import Store

ROOT = Path(__file__).parents[2]


def test_a_study_submitted_to_a_cluster_that_ray_up_made(machines, command, small, undisturbed, untimed):
    machines.up(ROOT / "cluster.onprem.yaml")
    store, server = Store(machines.root / "shared"), f"http://127.0.0.1:{machines.ports['5000']}"
    study, environment = small(seeds=2), json.dumps({"env_vars": {"WM_COMMIT": "0123abc-dirty"}})
    arguments = command(store.root, "--seeds", "2", "--address", "auto", "--tracking-uri", server)
    job = machines.submit(environment, "python", "study/run.py", *arguments)
    assert job.returncode == 0, job.stdout

    assert untimed(report.folder(study, store)) == untimed(undisturbed[1])
    results = [read_json(file)["provenance"] for file in store.root.glob("train/*/result.json")]
    assert {(result["commit"], result["dirty"]) for result in results} == {("0123abc", True)}
    assert len(results) == len(read_mlflow(server, study.key)) == 4
    for home in (machines.root / machines.HEAD, machines.root / machines.WORKER):
        installed = (home / "pip.log").read_text().splitlines()[-1]
        assert installed == f"-m pip install -q -c {home}/wm-study/constraints.txt -e {home}/wm-study[s3]"
        assert (home / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
