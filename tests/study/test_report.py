"""From the store to the declaration and records that a report is made of."""

from __future__ import annotations

import shutil

import pytest

from analysis import tables
from study import plan as plans
from study import report
from trainables import pipeline
from trainables.store import Store


@pytest.fixture
def traces(monkeypatch):
    """The function that makes trainings leave the given traces, by arm."""
    real = pipeline.record_part

    def leave(**by_norm):
        def part(config, store):
            return real(config, store) | {"trace": by_norm[config.projector.norm]}

        monkeypatch.setattr(pipeline, "record_part", part)

    return leave


def test_records_come_in_the_plans_order_with_arm_and_seed(small, done):
    study = small()
    records = report.records(study, done)
    assert [(record["arm"], record["seed"]) for record in records] == [(t.arm, t.seed) for t in study.trials]
    assert [record["trial"] for record in records] == [plans.trial_id(trial) for trial in study.trials]
    assert not any("identical_to" in record for record in records)


def test_an_arm_whose_change_had_no_effect_is_named(small, done, traces):
    traces(batch="same", none="same")
    records = report.records(small(), done)
    assert [record.get("identical_to") for record in records] == [None, "batch", None, "batch"]


def test_arms_that_share_a_training_are_no_twins(small, done, traces, monkeypatch):
    """Two ways to plan with one model have one training between them, and that is as it should be."""
    traces(batch="same", none="same")
    part = pipeline.record_part
    monkeypatch.setattr(pipeline, "record_part", lambda config, store: part(config, store) | {"trial": "one"})
    assert not any("identical_to" in record for record in report.records(small(), done))


def test_fewer_seeds_than_before_leave_the_report_of_more(small, done, tmp_path):
    store = Store(shutil.copytree(done.root, tmp_path / "store"))
    shutil.rmtree(store.root / "reports", ignore_errors=True)
    assert report.covering(small(seeds=1), store).seeds == (0,)
    three = small(seeds=3)
    report.write(three, store, report.records(three, store))
    assert report.covering(small(seeds=1), store).seeds == (0, 1, 2)
    assert report.covering(small(seeds=4), store).seeds == (0, 1, 2, 3)


def test_seeds_of_which_nothing_is_known_any_more_leave_the_report(small, done, tmp_path):
    store = Store(shutil.copytree(done.root, tmp_path / "store"))
    five = small(seeds=5)
    pipeline.fail(five.trials[-1].config, store, "Traceback\nValueError: no luck")
    report.write(five, store, report.records(five, store))
    assert report.covering(small(seeds=1), store).seeds == (0, 1, 2, 4)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"seeds": ["a"]}'])
def test_a_damaged_report_is_told_and_made_anew(small, done, tmp_path, caplog, content):
    store = Store(shutil.copytree(done.root, tmp_path / "store"))
    where = report.folder(small(), store)
    where.mkdir(parents=True, exist_ok=True)
    (where / "study.json").write_text(content)
    assert report.covering(small(), store).seeds == (0, 1)
    assert str(where / "study.json") in caplog.text


def test_published_values_are_those_of_the_same_world_and_scale_or_else_of_another(small, done):
    near = plans.make_study("anti_collapse", world="two_room", scale="paper", sets={})
    declared = report.declaration(near, done, [])
    assert (declared["published_at"], declared["published"]["smwm"]) == ("two_room, paper", 1.0)
    far = report.declaration(plans.make_study("predictor_size", sets={}), done, [])
    assert (far["world"], far["scale"], far["published_at"]) == ("two_room", "local", "push_t, paper")
    assert far["published"] == {"tiny": 0.807, "small": 0.960, "base": 0.867}
    assert report.declaration(small(), done, report.records(small(), done))["published"] == {}


def test_the_declaration_says_what_was_asked_and_how_it_is_judged(small, done):
    study = small()
    declared = report.declaration(study, done, report.records(study, done))
    assert declared["arms"] == [
        {"name": "batch", "changes": {"projector.norm": "batch"}},
        {"name": "none", "changes": {"projector.norm": "none"}},
    ]
    assert declared["sets"] == dict(study.sets)
    assert (declared["baseline"], declared["primary"], declared["seeds"]) == ("batch", "success_rate", [0, 1])
    timed = {value["name"] for value in declared["measures"] if value["timed"]}
    assert timed == {"planning_seconds"}
    assert [len(repeat) for repeat in declared["floors"]["no-op"]] == [10]


def test_the_table_says_what_the_scale_sets_otherwise_than_the_papers(small, done):
    records = report.records(small(), done)
    text = tables.markdown(report.declaration(small(), done, records), records)
    note = text.split("**Take note**")[1].split("\n\n")[1]
    assert "- At scale local these settings are not the published ones: every arm: terms.sigreg." in note
    assert "terms.sigreg.weight 0.01 (published 0.09); trainables/scales/local.py says why." in note


def test_without_a_finished_trial_there_are_no_floors_to_show(small, done):
    declared = report.declaration(small(), done, [{"measures": {}, "arm": "batch"}])
    assert declared["floors"] == {}
    assert [value["name"] for value in declared["measures"]] == ["success_rate"]
