"""What a study wrote to MLflow gives the same frame as its own records."""

import json
import math

import pytest

from analysis.mlflow_records import read_mlflow, read_mlflow_search
from analysis.records import frame
from analysis.search_records import SearchTrial

KEY = "predictor_size-two_room-local"


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """An empty local database; making it takes seconds, so that tests share it under keys of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def client(uri):
    from mlflow import MlflowClient

    return MlflowClient(uri)


@pytest.fixture
def write(client, tmp_path):
    """Log records as children of a new parent run, as the contract of `read_mlflow` says."""

    def new(key, records, artifact=True):
        experiment = client.create_experiment(f"{key} {tmp_path.name}", artifact_location=(tmp_path / key).as_uri())
        parent = client.create_run(experiment, tags={"study": key}).info.run_id
        return [child(client, experiment, parent, record, tmp_path, artifact) for record in records]

    return new


def child(client, experiment, parent, record, folder, artifact=True, start=None):
    names = ("trial", "arm", "seed", "status", "commit", "dirty", "device", "error")
    tags = {name: str(record[name]) for name in names if record[name] is not None} | {"mlflow.parentRunId": parent}
    run = client.create_run(experiment, tags=tags, start_time=start).info.run_id
    for path, value in record["config"].items():
        client.log_param(run, path, json.dumps(value))
    for kind in ("measures", "seconds"):
        for name, value in record[kind].items():
            client.log_metric(run, f"{kind.removesuffix('s') if kind == 'measures' else kind}/{name}", value)
    if artifact:
        file = folder / "record.json"
        file.write_text(json.dumps(record))
        client.log_artifact(run, str(file))
    return run


def test_mlflow_and_the_records_themselves_give_the_same_frame(write, uri, mixed):
    write(KEY, mixed)
    assert frame(read_mlflow(uri, KEY)).equals(frame(mixed))


def test_values_that_are_no_numbers_survive(write, uri, make_record):
    record = make_record("tiny", 0)
    record["measures"] |= {"a": math.nan, "b": math.inf, "c": -math.inf}
    write("odd values", [record])
    (back,) = read_mlflow(uri, "odd values")
    assert math.isnan(back["measures"]["a"])
    assert (back["measures"]["b"], back["measures"]["c"]) == (math.inf, -math.inf)


def test_numbers_come_from_the_metrics_and_not_from_the_artifact(write, client, uri, make_record):
    (run,) = write("edited", [make_record("tiny", 0)])
    client.log_metric(run, "measure/success_rate", 0.5)
    assert read_mlflow(uri, "edited")[0]["measures"]["success_rate"] == 0.5


def test_a_run_without_the_artifact_still_gives_its_config_and_numbers(write, client, uri, make_record):
    record = make_record("tiny", 0)
    (run,) = write("bare", [record], artifact=False)
    client.log_param(run, "plain", "not JSON")
    (back,) = read_mlflow(uri, "bare")
    assert back["config"] == record["config"] | {"plain": "not JSON"}
    assert back["measures"] == record["measures"]
    assert (back["status"], back["dirty"]) == ("ok", False)


def test_a_trial_that_has_not_ended_is_missing(write, client, uri, make_record):
    (run,) = write("running", [make_record("tiny", 0)], artifact=False)
    client.delete_tag(run, "status")
    assert read_mlflow(uri, "running")[0]["status"] == "missing"


def test_the_newest_run_of_an_arm_and_seed_counts(write, client, uri, tmp_path, make_record):
    (run,) = write("twice", [make_record("tiny", 0, 10, trial="old")])
    known = client.get_run(run)
    parent, later = known.data.tags["mlflow.parentRunId"], known.info.start_time + 1000
    child(client, known.info.experiment_id, parent, make_record("tiny", 0, 90), tmp_path, start=later)
    (back,) = read_mlflow(uri, "twice")
    assert (back["trial"], back["measures"]["success_rate"]) == ("tiny0", 0.9)


def test_an_unknown_study_is_an_error_that_names_it(write, uri, make_record):
    write("it's known", [make_record("tiny", 0)])
    assert len(read_mlflow(uri, "it's known")) == 1
    with pytest.raises(ValueError, match="no run tagged study = 'nothing'"):
        read_mlflow(uri, "nothing")


def searching(client, run, trial, start=None):
    """Log a search's trial as a child of the same parent as `run`."""
    known = client.get_run(run)
    tags = {"phase": "search", "arm": f"trial {trial['number']}", "seed": "1000", "trial": trial["trial"]}
    tags |= {name: str(trial[name]) for name in ("number", "state", "note") if trial.get(name) is not None}
    tags["mlflow.parentRunId"] = known.data.tags["mlflow.parentRunId"]
    new = client.create_run(known.info.experiment_id, tags=tags, start_time=start).info.run_id
    for path, value in trial["params"].items():
        client.log_param(new, f"search/{path}", json.dumps(value))
        client.log_param(new, path, "of the config")
    metrics = {f"objective/{name}": value for name, value in trial["values"].items()}
    metrics |= {f"constraint/{name}": value for name, value in trial["constraints"].items()}
    metrics |= {"search/step": trial["step"], "search/steps": trial["steps"], "seconds/search": trial["seconds"]}
    for name, value in metrics.items():
        if value is not None:
            client.log_metric(new, name, value)
    for step in (100, 300, 200):
        client.log_metric(new, "monitor/probe_r2", step / 1000, step=step)
    return new


def test_trials_of_a_search_are_no_records_and_come_back_by_number(write, client, uri, mixed, point):
    run = write("searched", mixed)[0]
    trials = [
        point(0, 0.85, constraints={"planning_seconds": 0.5}),
        point(2, state="pruned"),
        point(1, params={"encoder": "vit", "encoder.depth": 4, "flag": True, "nothing": None}, state="failed"),
    ]
    for trial in trials:
        searching(client, run, trial)
    assert frame(read_mlflow(uri, "searched")).equals(frame(mixed))
    back = read_mlflow_search(uri, "searched")
    wanted = [trial | {"feasible": None, "error": None} for trial in sorted(trials, key=lambda t: t["number"])]
    assert [SearchTrial.model_validate({k: x for k, x in row.items() if k != "monitors"}) for row in back] == [
        SearchTrial.model_validate(trial) for trial in wanted
    ]
    assert [row["monitors"] for row in back] == [{"probe_r2": 0.3}] * 3


def test_a_trial_of_a_search_that_has_not_ended_is_open_and_its_newest_run_counts(write, client, uri, mixed, point):
    run = write("open search", mixed)[0]
    trial = point(7) | {"state": None, "step": None, "steps": None, "seconds": None}
    new = searching(client, run, trial)
    client.delete_tag(new, "number")
    (back,) = read_mlflow_search(uri, "open search")
    assert (back["number"], back["state"], back["step"], back["values"]) == (7, "open", None, {})
    later = client.get_run(new).info.start_time + 1000
    searching(client, run, point(7, 0.9), start=later)
    (back,) = read_mlflow_search(uri, "open search")
    assert (back["state"], back["values"]["success_rate"]) == ("complete", 0.9)


def test_warm_starts_and_studies_without_a_search_have_no_trials_of_one(write, client, uri, mixed, point):
    run = write("no search", mixed)[0]
    assert read_mlflow_search(uri, "no search") == []
    new = searching(client, run, point(1, 0.9))
    client.delete_tag(new, "number")
    client.set_tag(new, "arm", "known 3f2a")
    assert read_mlflow_search(uri, "no search") == []
    with pytest.raises(ValueError, match="no run tagged study = 'nothing'"):
        read_mlflow_search(uri, "nothing")
