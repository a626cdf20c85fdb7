"""What a cluster has, may come to have, and how many trials that is room for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from study import cluster
from study.capacity import Capacity, described, planned
from trainables.paths import assign_all, base_config
from trainables.settings import ConfigError

ROOT = Path(__file__).parents[2]
CLOUD, OWN = (yaml.safe_load((ROOT / name).read_text()) for name in ("cluster.yaml", "cluster.onprem.yaml"))
HEAD, WORKER = {"trial_slot": 16.0}, {"CPU": 8.0, "GPU": 1.0}
OWN = OWN | {"max_workers": 2, "available_node_types": {"local.cluster.node": {"node_config": {}, "resources": {}}}}


def nodes(*found):
    return lambda: [{"Alive": True, "Resources": dict(each)} for each in found]


def config(**sets):
    return assign_all(base_config("lewm", "two_room", "gpu"), sets)


def test_a_cluster_that_has_no_workers_yet_has_room_for_what_it_may_grow_to():
    room = planned(CLOUD, [HEAD])
    assert (room.most("GPU"), room.most("CPU"), room.most("trial_slot")) == (8, 64, 16)
    assert room.grows and not planned(CLOUD, [HEAD, *[WORKER] * 8]).grows
    bundles = [{"trial_slot": 1}, {"CPU": 4, "GPU": 0.25}]
    assert room.lacks(bundles) is None
    assert room.at_once(bundles) == 16
    assert Capacity([HEAD]).lacks(bundles) == ("CPU", "4 CPU on one node, the largest has 0")


def test_what_no_node_can_have_is_lacking_however_many_there_are():
    room = planned(CLOUD, [HEAD])
    assert room.lacks([{"CPU": 16}]) == ("CPU", "16 CPU on one node, the largest has 8")
    assert room.lacks([{"GPU": 1}] * 9) == ("GPU", "9 GPU, the cluster has 8")
    assert room.lacks([{"GPU": 1}] * 8) is None


def test_shares_of_a_gpu_are_counted_card_by_card():
    assert [Capacity([WORKER]).at_once([{"GPU": share}]) for share in (0.1, 0.2, 0.3, 0.5, 1.0)] == [10, 5, 3, 2, 1]
    assert Capacity([WORKER, WORKER]).at_once([{"GPU": 0.6}]) == 2
    assert Capacity([WORKER] * 3).at_once([{"CPU": 1, "GPU": 1}] * 2) == 1


def test_a_worker_needs_a_node_that_has_all_it_asks_for():
    apart = Capacity([{"CPU": 4, "GPU": 1}, {"CPU": 16}])
    assert apart.lacks([{"CPU": 8, "GPU": 1}]) == ("CPU", "1 x (8 CPU, 1 GPU) on one node, none has all of it")
    assert apart.lacks([{"CPU": 4, "GPU": 1}, {"CPU": 16}]) is None


def test_machines_that_nobody_knows_are_taken_to_be_like_those_that_are_there():
    assert planned(OWN, [HEAD]).unknown == 2
    room = planned(OWN, [HEAD, WORKER])
    assert (room.unknown, room.most("GPU"), room.most("CPU")) == (1, 2, 16)
    assert planned(OWN, [HEAD, WORKER, WORKER]).unknown == 0


def test_trials_at_a_time_follow_the_cluster(monkeypatch):
    joined, train = cluster.Joined(), config(executor="train", threads=4)
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.0)
    for found, trials in (([HEAD, WORKER], 2), ([HEAD, WORKER, WORKER], 4), ([HEAD, WORKER], 2), ([HEAD], 1)):
        monkeypatch.setattr("ray.nodes", nodes(*found))
        assert joined.concurrent([train], lambda config: 0.5) == trials
    assert joined.concurrent([config(executor="trial")]) is None
    growing = cluster.Joined(autoscaler=CLOUD)
    assert growing.concurrent([train], lambda config: 1.0) == 8
    assert growing.concurrent([train], lambda config: 0.5) == 16
    assert growing.concurrent([config(executor="trial", threads=4)]) == 16


def test_a_trial_fits_a_cluster_that_will_have_room_for_it(monkeypatch):
    monkeypatch.setattr("ray.nodes", nodes(HEAD))
    pair = config(executor="train", threads=4, workers=2)
    cluster.Joined(autoscaler=CLOUD).check_fits([pair], lambda config: 1.0)
    assert cluster.Joined(autoscaler=CLOUD).has_gpus() and not cluster.Joined().has_gpus()
    with pytest.raises(ConfigError, match="workers: a trial asks for 16 GPU, the cluster has 8; choose another"):
        cluster.Joined(autoscaler=CLOUD).check_fits([config(executor="train", workers=16)], lambda config: 1.0)


def test_the_first_of_unknown_machines_is_waited_for_and_said_to_be(monkeypatch, caplog):
    looks = iter([nodes(HEAD)] * 4 + [nodes(HEAD, WORKER)] * 9)
    monkeypatch.setattr("ray.nodes", lambda: next(looks)())
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "QUIET_SECONDS", 0.0)
    cluster.Joined(autoscaler=OWN).check_fits([config(executor="train")], lambda config: 1.0)
    assert set(caplog.messages) == {"waiting for the first of the 2 workers of this cluster"}


def test_what_is_waited_for_is_said_in_words():
    assert described([{"CPU": 4.0, "GPU": 0.25}] * 2) == "2 x (4 CPU, 0.25 GPU)"
    text = "1 nodes with 0 CPU, 0 GPU, 16 trial_slot; it may grow to 64 CPU, 8 GPU, 16 trial_slot"
    assert str(planned(CLOUD, [HEAD])) == text


def test_kinds_of_cards_are_those_of_nodes_with_gpus():
    nodes = [{"GPU": 1.0, "accelerator_type:L4": 1.0}, {"CPU": 2.0, "accelerator_type:T4": 1.0}, {"GPU": 2.0}]
    assert Capacity(nodes).cards == {"L4"}
    assert Capacity([{"GPU": 1.0}]).cards == frozenset()
