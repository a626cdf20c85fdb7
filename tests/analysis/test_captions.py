"""What stands around the numbers: nothing is claimed that the table does not have, and times stay in their block."""

import re

import polars as pl
import pytest

from analysis.tables import latex, markdown, summary


def sound(make_record, seeds=3):
    return [
        make_record(arm, seed, n) for arm, n in (("tiny", 80), ("small", 95), ("base", 95)) for seed in range(seeds)
    ]


def row(study, records, arm, measure="success_rate"):
    return summary(study, records).row(by_predicate=(pl.col("arm") == arm) & (pl.col("measure") == measure), named=True)


def caption(text):
    return next(one for one in text.splitlines() if one.startswith(r"\caption{"))


def without_times(text):
    """table.md less its block of measured times, which a heading opens and the next blank line after its table ends."""
    return re.sub(r"\*\*Measured times\*\*[^\n]*\n\n(\|[^\n]*\n)+", "", text)


@pytest.mark.parametrize("times", [lambda i: 3.0, lambda i: 1e6 * i])
def test_records_whose_times_differ_give_the_same_tables_but_for_the_block_of_times(make_study, mixed, times):
    again = [
        record
        | {"seconds": {name: times(i) for name in record["seconds"]}}
        | {"measures": record["measures"] and record["measures"] | {"planning_seconds": times(i)}}
        for i, record in enumerate(mixed)
    ]
    texts = [markdown(make_study(), records) for records in (mixed, again)]
    assert texts[0] != texts[1]
    assert without_times(texts[0]).encode() == without_times(texts[1]).encode()
    assert "seconds" not in without_times(texts[0])
    assert latex(make_study(), mixed).encode() == latex(make_study(), again).encode()


def test_with_two_seeds_nothing_speaks_of_intervals_or_verdicts(make_study, make_record):
    study, records = make_study(seeds=[0, 1], floors={}), sound(make_record, 2)
    note = "Fewer than 3 seeds with a value, so no interval and no verdict: tiny 2, small 2, base 2."
    assert row(study, records, "tiny")["verdict"] is None
    for text in (markdown(study, records), latex(study, records)):
        assert note in text
        rest = text.replace(note, "")
        for word in ("undecided", "verdict", "95 %", r"95 \%", "nterval", "Holm", "Wilson", "Student"):
            assert word not in rest, word


def test_with_two_seeds_and_floors_only_the_floors_intervals_are_explained(make_study, make_record):
    text = markdown(make_study(seeds=[0, 1]), sound(make_record, 2))
    assert "success_rate (%) [95 %] | difference from small | seeds" in re.sub(" +", " ", text)
    assert "Intervals (95 %). Floors: Wilson's over the tasks.\n" in text


def test_with_three_seeds_intervals_and_verdicts_are_explained(make_study, make_record):
    text = markdown(make_study(), sound(make_record))
    for said in (
        "Intervals (95 %). Success: Wilson's",
        "Floors: Wilson's over the tasks.",
        "Other measures: Student's t over the seeds",
        "Holm over 2 comparisons",
        "cannot give a p below 0.25",
    ):
        assert said in text


def test_intervals_end_where_values_do_and_parts_end_like_their_measure(make_study, make_record):
    records = sound(make_record)
    for record, x in zip(records, (0.9, 0.99, 0.999) * 3, strict=True):
        record["measures"] |= dict.fromkeys(("probe_r2", "probe_r2/agent_position"), x)
        record["measures"] |= dict.fromkeys(("planning_seconds", "rollout_error_1", "unlimited"), 1 - x)
        record["seconds"]["train"] = 1 - x
    for measure in ("probe_r2", "probe_r2/agent_position"):
        assert row(make_study(), records, "tiny", measure)["high"] == 1
    for measure in ("planning_seconds", "rollout_error_1", "seconds/train"):
        assert row(make_study(), records, "tiny", measure)["low"] == 0
    assert row(make_study(), records, "tiny", "unlimited")["low"] < 0
    records[0]["measures"]["probe_r2"] = -5.0
    tiny = row(make_study(), records, "tiny", "probe_r2")
    assert tiny["low"] < -5
    assert tiny["difference_high"] > 1


def test_commits_of_training_and_of_measuring_uncommitted_changes_and_devices_are_flagged(make_study, make_record):
    records = sound(make_record)
    assert not re.search("commits|uncommitted|kinds of device", markdown(make_study(), records))
    records[0] |= {"commit": "aaaa", "measure_commits": ["aaaa"], "dirty": True, "device": "gpu"}
    records[1]["measure_commits"] = ["3f2a91c", "bbbb"]
    text = markdown(make_study(), records)
    assert "Trials and their measures come from 3 commits: 3f2a91c (8), aaaa (1), bbbb (1)." in text
    assert "Trials come from 2 kinds of device: cpu, 2 cores (8), gpu (1)." in text
    assert "Run with uncommitted changes: 1 of 9 trials." in text


def test_records_without_the_commits_of_their_measures_are_not_flagged(make_study, make_record):
    records = [{k: x for k, x in record.items() if k != "measure_commits"} for record in sound(make_record)]
    assert "commits" not in markdown(make_study(), records)


def test_only_trials_with_a_value_are_said_to_be_in_the_mean(make_study, make_record, mixed):
    text = markdown(make_study(), mixed)
    assert "Collapsed (kept in the mean): base seeds 0, 1." in text
    assert "Diverged (not measured, not in the mean): base seed 2." in text
    some = [*mixed[:-2], make_record("base", 1, status="diverged"), make_record("base", 2) | {"status": "diverged"}]
    assert "Diverged (1 of 2 measured and in the mean): base seeds 1, 2." in markdown(make_study(), some)


def test_a_diverged_trial_has_no_seconds_of_measuring(make_study, mixed):
    measuring = row(make_study(), mixed, "base", "seconds/measures")
    assert (measuring["mean"], measuring["seeds"], measuring["failed"]) == (20.5, 2, 1)


def test_parts_are_in_the_order_of_their_numbers_and_units_are_the_studys(make_study, make_record):
    records = sound(make_record)
    for record in records:
        record["measures"] |= {f"component_share/{i}": 0.1 for i in (10, 2, 1)}
    names = summary(make_study(), records)["measure"].unique(maintain_order=True).to_list()
    assert [name for name in names if "/" in name][:3] == [f"component_share/{i}" for i in (1, 2, 10)]
    study = make_study(measures=[{"name": "planning_seconds", "unit": "s per task", "timed": True}])
    assert "| planning_seconds | s per task |" in markdown(study, records)


def test_the_caption_is_short_and_the_rest_is_in_comments(make_study, mixed):
    text = latex(make_study(sets={"optim.steps": 500}, notes=["one\ntwo"]), mixed)
    assert r"\label{tab:predictor_size-two_room-local}" in text
    assert len(caption(text).split()) <= 60
    for said in (
        "How small can the predictor be?",
        r"World two\_room, scale local",
        "protocol strict, test split, 100 tasks",
        "n = 3 training seeds",
        r"95 \% intervals (Wilson's, counting seeds and tasks; floors: Wilson's over tasks)",
    ):
        assert said in caption(text)
    before = text[: text.index(r"\begin{table}")].splitlines()
    assert all(one.startswith("% ") for one in before)
    for said in ("% Primary measure: success_rate. Baseline: small.", "% Crashed: tiny seed 2", "% one two"):
        assert any(one.startswith(said) for one in before), said
