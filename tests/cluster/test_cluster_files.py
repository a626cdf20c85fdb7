"""cluster.yaml and cluster.onprem.yaml: Ray and AWS accept them, they name no secret and let nobody in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from moto import mock_aws
from ray.autoscaler import tags
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
FILES = ("cluster.yaml", "cluster.onprem.yaml")


def load(name):
    return yaml.safe_load((ROOT / name).read_text())


@pytest.mark.parametrize("name", FILES)
def test_ray_accepts_the_file(name):
    validate_config(prepare_config(load(name)))


@pytest.mark.parametrize("name", FILES)
def test_everything_listens_on_loopback_or_the_private_network_and_asks_for_the_token(name):
    text, content = (ROOT / name).read_text(), load(name)
    assert "0.0.0.0" not in text and "[::]" not in text
    assert set(re.findall(r"--(?:dashboard-)?host[= ](\S+)", text)) == {"127.0.0.1"}
    head, worker = content["head_start_ray_commands"], content["worker_start_ray_commands"]
    starts = [command for command in head + worker if "ray start" in command]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token" in command for command in starts)
    assert content["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("mlflow server" in command for command in head)


@pytest.mark.parametrize("name", FILES)
def test_nothing_secret_and_no_place_to_download_from_is_in_the_file(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"AKIA|BEGIN [A-Z ]*KEY|(?i:passw|secret[_ ]?(key|access)|token\s*[:=]\s*['\"\w])", text)
    assert not re.search(r"[0-9a-fA-F]{32}", text)
    assert set(re.findall(r"(\w+)://", text)) <= {"http", "s3", "sqlite"}
    assert set(re.findall(r"http://([^:/]+)", text)) <= {"127.0.0.1"}
    assert "index-url" not in text and "docker" not in text


@pytest.mark.parametrize("name", FILES)
def test_the_project_is_installed_with_its_constraints_from_files_that_exist(name):
    content = load(name)
    [install] = [command for command in content["setup_commands"] if "pip install" in command]
    assert "-c ~/wm-study/constraints.txt" in install and install.endswith('-e ~/wm-study"[s3]"')
    for there, here in content["file_mounts"].items():
        assert here.startswith("~/") or (ROOT / here).exists()
        assert there.startswith("~/")
    packages = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert packages == {here for here in content["file_mounts"].values() if (ROOT / here).is_dir()}


def test_the_head_holds_the_drivers_of_trials_and_trains_nothing():
    cloud, own = load("cluster.yaml"), load("cluster.onprem.yaml")
    head = cloud["available_node_types"][cloud["head_node_type"]]["resources"]
    assert head["trial_slot"] > 0 and head["CPU"] == 0 and "GPU" not in head
    [start] = [command for command in own["head_start_ray_commands"] if "ray start" in command]
    assert """--num-cpus=0 --num-gpus=0 --resources='{"trial_slot":16}'""" in start
    assert own["provider"]["head_ip"] and own["provider"]["worker_ips"]


def test_aws_starts_an_on_demand_head_and_spot_workers_with_a_gpu_each(tmp_path, monkeypatch):
    import boto3
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    (tmp_path / ".ssh").mkdir()
    for name, value in {"HOME": tmp_path, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, str(value))
    with mock_aws():
        for name in ("wm-study-head", "wm-study-worker"):
            boto3.client("iam").create_instance_profile(InstanceProfileName=name)
        config = AWSNodeProvider.fillout_available_node_types_resources(prepare_config(load("cluster.yaml")))
        config = bootstrap_aws(config)
        provider, types = AWSNodeProvider(config["provider"], config["cluster_name"]), config["available_node_types"]
        for name, kind in types.items():
            labels = {tags.TAG_RAY_NODE_NAME: name, tags.TAG_RAY_NODE_KIND: name, tags.TAG_RAY_NODE_STATUS: "new"}
            provider.create_node(dict(kind["node_config"]), labels | {tags.TAG_RAY_USER_NODE_TYPE: name}, 1)
        found = boto3.client("ec2", config["provider"]["region"]).describe_instances()["Reservations"]
    started = {each["InstanceType"]: each.get("InstanceLifecycle") for one in found for each in one["Instances"]}
    assert started == {"m7i.2xlarge": None, "g6.2xlarge": "spot"}
    assert types["gpu"]["resources"] | {"CPU": 8, "GPU": 1, "accelerator_type:L4": 1} == types["gpu"]["resources"]
    assert (types["gpu"]["min_workers"], types["gpu"]["max_workers"]) == (0, config["max_workers"])
