"""From the store to the declaration and records that a report is made of."""

from __future__ import annotations

import pytest

from study import plan as plans
from study import report
from trainables import pipeline


@pytest.fixture
def traces(monkeypatch):
    """The function that makes trainings leave the given traces, by arm."""
    real = pipeline.record_part

    def leave(**by_encoder):
        def part(config, store):
            return real(config, store) | {"trace": by_encoder[config.encoder.name]}

        monkeypatch.setattr(pipeline, "record_part", part)

    return leave


def test_records_come_in_the_plans_order_with_arm_and_seed(small, done):
    study = small()
    records = report.records(study, done)
    assert [(record["arm"], record["seed"]) for record in records] == [(t.arm, t.seed) for t in study.trials]
    assert [record["trial"] for record in records] == [plans.trial_id(trial) for trial in study.trials]
    assert report.notes(records) == []


def test_an_arm_whose_change_had_no_effect_is_named(small, done, traces):
    traces(conv="same", vit="same")
    records = report.records(small(), done)
    assert [record.get("identical_to") for record in records] == [None, "conv", None, "conv"]
    (note,) = report.notes(records)
    assert "conv and vit trained to the same losses and weights" in note
    assert report.declaration(small(), done, records)["notes"] == [note]


def test_arms_that_share_a_training_are_no_twins(small, done, traces, monkeypatch):
    """Two ways to plan with one model have one training between them, and that is as it should be."""
    traces(conv="same", vit="same")
    part = pipeline.record_part
    monkeypatch.setattr(pipeline, "record_part", lambda config, store: part(config, store) | {"trial": "one"})
    assert report.notes(report.records(small(), done)) == []


def test_published_values_are_those_of_the_same_world_and_scale_or_else_of_another(small, done):
    near = plans.make_study("anti_collapse", world="two_room", scale="paper", sets={})
    declared = report.declaration(near, done, [])
    assert (declared["published_at"], declared["published"]["smwm"]) == ("two_room, paper", 1.0)
    far = report.declaration(small(), done, report.records(small(), done))
    assert (far["world"], far["scale"], far["published_at"]) == ("two_room", "local", "push_t, paper")
    assert far["published"] == {"vit": 0.96}


def test_the_declaration_says_what_was_asked_and_how_it_is_judged(small, done):
    study = small()
    declared = report.declaration(study, done, report.records(study, done))
    assert declared["arms"] == [
        {"name": "conv", "changes": {"encoder": "conv"}},
        {"name": "vit", "changes": {"encoder": "vit"}},
    ]
    assert declared["sets"] == dict(study.sets)
    assert (declared["baseline"], declared["primary"], declared["seeds"]) == ("conv", "success_rate", [0, 1])
    timed = {value["name"] for value in declared["measures"] if value["timed"]}
    assert timed == {"planning_seconds"}
    assert [len(repeat) for repeat in declared["floors"]["no-op"]] == [10]


def test_without_a_finished_trial_there_are_no_floors_to_show(small, done):
    declared = report.declaration(small(), done, [{"measures": {}, "arm": "conv"}])
    assert declared["floors"] == {}
    assert [value["name"] for value in declared["measures"]] == ["success_rate"]
