"""What --keep removes and what stays: records and whatever an unfinished study needs, whatever the policy."""

from __future__ import annotations

import logging
import shutil

import pytest

from search_spaces._sweep import Trial
from study import claim, keep
from study.candidates import Candidates
from study.plan import make_study
from trainables import ids, pipeline
from trainables.files import write_json
from trainables.monitors import Watch
from trainables.paths import assign_all
from trainables.store import Store


@pytest.fixture
def store(done, tmp_path):
    """A copy of the store in which three seeds are done."""
    ignored = shutil.ignore_patterns("reports", "mlflow.db", "artifacts", "notes")
    return Store(shutil.copytree(done.root, tmp_path / "store", ignore=ignored))


def weights(store):
    """The trainings that have theirs."""
    return {file.parent.name for file in store.root.glob(f"train/*/{pipeline.WEIGHTS}")}


def trainings(study, arm=None):
    return {ids.train_key(trial.config).removeprefix("train/") for trial in study.trials if arm in (None, trial.arm)}


def table(store, study):
    return (store.report(study.key) / "table.csv").read_text()


def test_none_removes_all_weights_and_no_record(command, invoke, small, store):
    study = small(seeds=2)
    assert invoke(*command(store.root, "--seeds", "2")).exit_code == 0
    before = table(store, study)
    result = invoke(*command(store.root, "--seeds", "2", "--keep", "none"))
    assert result.exit_code == 0
    assert "keep none: removed the weights of 4 trainings (" in result.stdout
    assert weights(store) == trainings(small(seeds=3)) - trainings(study)
    again = invoke(*command(store.root, "--seeds", "2", "--keep", "none"))
    assert "6 trials" not in again.stdout
    assert "4 trials: 4 done" in again.stdout
    assert "removed the weights of 0 trainings (0 B)" in again.stdout
    assert table(store, study) == before
    assert all(pipeline.history(trial.config, store) for trial in study.trials)


def test_best_keeps_the_arm_with_the_best_mean(small, store, pairs):
    study = small(seeds=3)
    for better in ("batch", "none"):
        found = pairs(study, store, lambda trial, better=better: float(trial.arm == better))
        copy = Store(shutil.copytree(store.root, store.root.parent / better))
        assert "removed the weights of 3 trainings" in keep.apply("best", study, copy, found)
        assert weights(copy) == trainings(study, better)


def test_best_keeps_everything_where_nothing_was_judged(small, store, pairs):
    found = pairs(small(seeds=3), store, lambda trial: None)
    assert "removed the weights of 0 trainings" in keep.apply("best", small(seeds=3), store, found)


def test_what_an_unfinished_study_needs_stays(small, store, pairs):
    study, needed = small(seeds=3), small(seeds=1)
    store.write("studies/another", {"state": "unfinished", "trials": sorted(trainings(needed))})
    store.write("studies/a-third", {"state": "complete", "trials": sorted(trainings(study))})
    said = keep.apply("none", study, store, pairs(study, store))
    assert "removed the weights of 4 trainings" in said
    assert "2 are needed by unfinished studies and stay" in said
    assert weights(store) == trainings(needed)


def test_nothing_is_removed_while_a_note_cannot_be_read(small, store, pairs):
    store.write("studies/another", {"state": "unfinished"})
    assert "the note of another cannot be read" in keep.apply("none", small(), store, pairs(small(), store))
    assert weights(store) == trainings(small(seeds=3))


def test_unfinished_work_of_stopped_trials_goes_unless_somebody_is_at_it(small, store, pairs):
    study = small(seeds=3)
    found = pairs(study, store)
    for (_, record), state in zip(found, ("pruned", "collapsed", "complete", "pruned", "pruned", "open"), strict=True):
        record["search"] = {"state": state}
    keys = [ids.train_key(trial.config) for trial in study.trials]
    for key in keys:
        (store.work(key) / "checkpoint.json").write_text("x" * 1000)
    store.write("studies/another", {"state": "unfinished", "trials": [keys[3].removeprefix("train/")]})
    with store.lease(keys[4]):
        said = keep.apply("none", study, store, found)
    assert "unfinished work of 2 stopped ones (2 kB)" in said
    assert [(store.root / "work" / key).exists() for key in keys] == [False, False, True, True, True, True]


def test_a_new_measure_trains_again_where_the_weights_are_gone_and_says_why(small, store, pairs, caplog):
    study = small(seeds=1)
    config = study.trials[0].config
    key, recorded = ids.train_key(config), store.document(ids.train_key(config), "result.json")
    keep.apply("none", study, store, pairs(study, store))
    assert pipeline.state(config, store) == "done"
    more = assign_all(config, {"measures.probe_r2.fit": 150})
    assert pipeline.state(more, store) == "to run"
    with caplog.at_level(logging.WARNING, logger="trainables.pipeline"):
        record = pipeline.run_trial(more, store)
    assert caplog.messages == ["its weights were removed, so it is trained again for probe_r2"]
    assert record["status"] in ("ok", "collapsed")
    assert record["trace"] == recorded["trace"]
    assert store.document(key, "result.json") == recorded
    assert store.get(key, whole=True)
    assert not list((store.root / "quarantine").iterdir())


def test_a_policy_that_is_none_is_refused(invoke, command, tmp_path):
    result = invoke(*command(tmp_path / "store", "--keep", "bset"))
    assert result.exit_code == 2
    assert "keep: 'bset' is unknown, did you mean 'best'?; valid: all, best, none" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2_340_000, "2.34 MB"), (5e12, "5 TB")]
)
def test_sizes_are_in_units_that_people_read(count, words):
    assert keep.size(count) == words


def test_best_keeps_what_confirms_a_search_and_no_candidate(search, store, pairs):
    """Candidates are told from what confirms them by their watch."""
    candidate = search.sweep.candidate(search.world, search.scale, search.sets, {})
    trials = [
        Trial(f"trial {i}", 1000, assign_all(candidate, {"optim.lr": 1e-3 * (i + 1)}), watch=Watch((), ()))
        for i in (0, 1)
    ]
    confirming = search.trials[:1]
    for trial in (*trials, *confirming):
        key = ids.train_key(trial.config)
        (store.work(key) / pipeline.WEIGHTS).write_bytes(bytes(1000))
        (store.work(key) / "result.json").write_text('{"status": "diverged"}')
        store.put(key, store.work(key))
    found = [(trial, {"measures": {}, "search": {"state": "complete"}}) for trial in trials]
    found += [(trial, {"measures": {"success_rate": 0.5}}) for trial in confirming]
    assert keep.apply("best", search, store, found) == "keep best: removed the weights of 2 trainings (2 kB)"
    assert ids.train_key(confirming[0].config).removeprefix("train/") in weights(store)
    assert all(pipeline.state(trial.config, store) == "done" for trial, _ in found)


def test_a_warm_start_passes_over_trainings_whose_weights_are_gone(search, store):
    config = search.sweep.candidate(search.world, search.scale, search.sets, {})
    key = ids.train_key(config)
    for name, content in {"config.json": config.model_dump(mode="json"), "result.json": {"status": "ok"}}.items():
        write_json(store.work(key) / name, content)
    (store.work(key) / pipeline.WEIGHTS).write_bytes(b"weights")
    store.put(key, store.work(key))
    assert [name for name, *_ in Candidates(search, store).known()] == [key.removeprefix("train/")]
    store.prune(key, [pipeline.WEIGHTS])
    assert Candidates(search, store).known() == []


@pytest.fixture
def search():
    return make_study("tune_lewm", sets={}, seeds=1)


@pytest.fixture
def pairs():
    """The function that gives the trials of a study with records that have a value of the primary measure."""

    def make(study, store, value=lambda trial: 0.5):
        found = []
        for trial in study.trials:
            record, number = pipeline.record_part(trial.config, store), value(trial)
            record["measures"] = {} if number is None else {study.sweep.primary: number}
            found.append((trial, record))
        return found

    return make


def test_a_killed_removal_is_ended_by_the_same_command(command, invoke, small, store, monkeypatch):
    """Killed after each entry: every trial counts as done, and the rest goes with the next command."""
    study = small(seeds=3)
    whole = Store.prune

    def killed(self, key, names):
        whole(self, key, names)
        raise KeyboardInterrupt

    for left in (5, 4):
        with monkeypatch.context() as patch:
            patch.setattr(Store, "prune", killed)
            assert invoke(*command(store.root, "--seeds", "3", "--keep", "none")).exit_code == 130
        assert claim.read(study.key, store)["state"] == "complete"
        assert {pipeline.state(trial.config, store) for trial in study.trials} == {"done"}
        assert len(weights(store)) >= left - 1
    assert invoke(*command(store.root, "--seeds", "3", "--keep", "none")).exit_code == 0
    assert weights(store) == set()
