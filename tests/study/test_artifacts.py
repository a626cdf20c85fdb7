"""MLflow's files go where the command line says."""

from __future__ import annotations

import boto3
import pytest

from study import tracking, uris
from study.uris import default_uri
from trainables.settings import ConfigError
from trainables.store import Store


def test_files_are_kept_at_the_uri_that_a_sweep_began_with(uri, small, tmp_path):
    study, store, place = small(), Store(tmp_path / "store"), uri.replace("runs", "mlflow")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "table.md").write_text("table")
    tracking.Runs(study, store, default_uri(store), place).finish(tmp_path / "report", "FINISHED")
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    found = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{study.name}/")["Contents"]
    assert [item["Key"].endswith("/artifacts/report/table.md") for item in found] == [True]
    assert not (store.root / "artifacts").exists()
    assert tracking.Runs(study, store, default_uri(store), place).artifacts_elsewhere is None
    assert tracking.Runs(study, store, default_uri(store)).artifacts_elsewhere is None
    warnings = []
    tracker = tracking.Tracker(study, store, default_uri(store), warnings.append, "s3://another/place")
    tracker.complete([], tmp_path / "report")
    assert warnings == [f"MLflow keeps this sweep's artifacts where it began to: {place}/{study.name}"]


@pytest.mark.parametrize("sound", ["s3://bucket/mlflow", "file:///tmp/mlflow"])
def test_a_place_for_files_passes(sound):
    uris.check_artifacts(sound)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("s3://user:hunter2@bucket/x", "from the environment"),
        ("bucket/x", "not of the form"),
        ("s3://", "not of the form"),
        ("gs://bucket/x", "needs the package google-cloud-storage"),
    ],
)
def test_a_place_that_cannot_be_is_refused_without_its_secrets(wrong, message, monkeypatch):
    monkeypatch.setattr(uris, "_installed", lambda package: package == "boto3")
    with pytest.raises(ConfigError, match=f"artifacts: .*{message}") as refused:
        uris.check_artifacts(wrong)
    assert "hunter2" not in str(refused.value)
