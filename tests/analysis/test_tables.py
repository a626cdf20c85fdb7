"""The table says what the evidence supports: failures shown, baselines paired, sources kept apart."""

import io

import numpy as np
import polars as pl
import pytest

from analysis.tables import latex, markdown, summary

WANTED = (
    "arm measure mean low high seeds tasks failed difference difference_low difference_high published p p_holm verdict"
)


def row(study, records, arm, measure="success_rate"):
    return summary(study, records).row(by_predicate=(pl.col("arm") == arm) & (pl.col("measure") == measure), named=True)


def sound(make_record, **solved):
    return [make_record(arm, seed, n) for arm, counts in solved.items() for seed, n in enumerate(counts)]


def line(text, start):
    return next(one for one in text.splitlines() if one.startswith(start))


def test_there_is_one_row_per_arm_and_measure_with_fractions(make_study, make_record):
    records = sound(make_record, tiny=(80, 82, 84), small=(95, 95, 95), base=(90, 96, 93))
    table = summary(make_study(), records)
    assert table.columns[: len(WANTED.split()) - 3] == WANTED.split()[:-3]
    assert set(WANTED.split()) <= set(table.columns)
    assert not table.select("arm", "measure").is_duplicated().any()
    tiny = row(make_study(), records, "tiny")
    assert tiny["mean"] == pytest.approx(0.82)
    assert (tiny["seeds"], tiny["tasks"], tiny["failed"], tiny["planned"]) == (3, 100, 0, 3)
    assert tiny["difference"] == pytest.approx(-0.13)
    assert tiny["difference_low"] < -0.13 < tiny["difference_high"] < 0
    assert row(make_study(), records, "small")["difference"] is None


def test_the_order_of_records_does_not_matter(make_study, mixed):
    shuffled = [mixed[i] for i in np.random.default_rng(1).permutation(len(mixed))]
    assert summary(make_study(), shuffled).equals(summary(make_study(), mixed))
    assert markdown(make_study(), shuffled) == markdown(make_study(), mixed)


def test_a_crashed_trial_is_absent_from_the_mean_and_shown(make_study, mixed):
    tiny = row(make_study(), mixed, "tiny")
    assert tiny["mean"] == pytest.approx(0.82)
    assert (tiny["seeds"], tiny["failed"], tiny["crashed"]) == (2, 1, 1)
    assert tiny["worst"] == pytest.approx((0.80 + 0.84) / 3)
    assert tiny["low"] is None
    text = markdown(make_study(), mixed)
    assert "82.0 (2/3)" in line(text, "| tiny")
    assert "Crashed: tiny seed 2 [RuntimeError: out of memory]." in text
    assert "Counting trials without a value as 0: tiny 54.7 %, base 6.7 %." in text


def test_collapsed_trials_stay_in_the_mean_and_are_counted(make_study, make_record):
    records = sound(make_record, tiny=(80, 80, 80), small=(95, 95, 95))
    records += [
        make_record("base", seed, n, status) for seed, n, status in [(0, 96, "ok"), (1, 0, "collapsed"), (2, 96, "ok")]
    ]
    base = row(make_study(), records, "base")
    assert base["mean"] == pytest.approx(0.64)
    assert (base["seeds"], base["failed"], base["collapsed"]) == (3, 0, 1)
    assert "2 ok, 1 collapsed" in line(markdown(make_study(), records), "| base")


def test_a_diverged_trial_counts_as_failed_only_where_it_could_not_be_measured(make_study, make_record, mixed):
    base = row(make_study(), mixed, "base")
    assert (base["seeds"], base["failed"], base["diverged"], base["collapsed"]) == (2, 1, 1, 2)
    measured = make_record("base", 2, 10) | {"status": "diverged"}
    assert row(make_study(), [*mixed[:-1], measured], "base")["seeds"] == 3


def test_a_planned_trial_without_a_record_is_missing(make_study, make_record):
    records = sound(make_record, tiny=(80, 80, 80), small=(95, 95))
    assert row(make_study(), records, "small")["missing"] == 1
    text = markdown(make_study(), records)
    assert "Missing: small seed 2; base seeds 0, 1, 2." in text
    assert "– (0/3)" in line(text, "| base")


def test_every_trial_may_have_failed(make_study, make_record):
    crashed = [make_record(arm, seed, status="crashed") for arm in ("tiny", "small", "base") for seed in range(3)]
    for records in ([], crashed):
        table = summary(make_study(), records).filter(pl.col("role") != "floor", measure="success_rate")
        assert table["failed"].to_list() == [3, 3, 3]
        assert table["mean"].null_count() == 3
        assert "– (0/3)" in markdown(make_study(), records)
        assert "-- (0/3)" in latex(make_study(), records)


def test_differences_use_the_seeds_that_both_arms_have(make_study, make_record):
    records = sound(make_record, tiny=(80, 80, 80, 10), small=(90, 90, 90), base=(95, 95, 95, 95))
    tiny = row(make_study(seeds=[0, 1, 2, 3]), records, "tiny")
    assert tiny["mean"] == pytest.approx(0.625)
    assert tiny["difference"] == pytest.approx(-0.1)


def test_verdicts_follow_the_margin_and_holm(make_study, make_record):
    records = sound(make_record, tiny=(50,) * 3, small=(95,) * 3, base=(95,) * 3)
    tiny, base = (row(make_study(), records, arm) for arm in ("tiny", "base"))
    assert (tiny["verdict"], base["verdict"]) == ("worse", "equivalent")
    assert tiny["p_holm"] == pytest.approx(2 * tiny["p"])
    assert row(make_study(margin=0.01), records, "base")["verdict"] == "undecided"
    assert row(make_study(), records, "tiny", "probe_r2")["verdict"] is None


def test_the_direction_of_a_verdict_follows_the_primary_measure(make_study, make_record):
    errors = {"tiny": (0.31, 0.34, 0.33), "small": (0.11, 0.12, 0.13), "base": (0.02, 0.03, 0.05)}
    records = [
        make_record(arm, seed) | {"measures": {"rollout_error_1": x}, "tasks": []}
        for arm, values in errors.items()
        for seed, x in enumerate(values)
    ]
    study = make_study(primary="rollout_error_1", margin=0.001)
    verdicts = [row(study, records, arm, "rollout_error_1")["verdict"] for arm in ("tiny", "base")]
    assert verdicts == ["worse", "better"]
    assert "Margin: 0.001." in markdown(study, records)


def test_success_at_the_last_step_counts_its_own_tasks(make_study, make_record):
    records = sound(make_record, tiny=(80, 80, 80), small=(95, 95, 95), base=(95, 95, 95))
    last = row(make_study(), records, "tiny", "success_rate_last")
    assert last["mean"] == pytest.approx(0.79)
    assert last["tasks"] == 100
    assert last["low"] < 0.79 < last["high"]


def test_floors_are_rows_of_the_success_rate(make_study, mixed):
    random, noop = (row(make_study(), mixed, policy) for policy in ("random", "no-op"))
    assert (random["role"], random["mean"], random["tasks"]) == ("floor", 0.04, 100)
    assert random["low"] < 0.04 < random["high"]
    assert (noop["mean"], noop["low"]) == (0, 0)
    assert noop["high"] == pytest.approx(0.037, abs=1e-3)
    assert "4.0 [" in line(markdown(make_study(), mixed), "| random (floor)")


def test_published_values_stand_beside_ours_only_at_their_own_world_and_scale(make_study, mixed):
    elsewhere = markdown(make_study(), mixed)
    assert row(make_study(), mixed, "tiny")["published"] is None
    assert "published" not in line(elsewhere, "| arm")
    assert "Published elsewhere (push_t, paper; arXiv:2603.19312, Table 6): tiny 80.7 %, small 96.0 %." in elsewhere
    study = make_study(published_at="two_room, local")
    assert row(study, mixed, "tiny")["published"] == 0.807
    assert row(study, mixed, "base")["published"] is None
    here = markdown(study, mixed)
    assert "80.7" in line(here, "| tiny")
    assert "Published values: arXiv:2603.19312, Table 6 (two_room, local)." in here
    assert "elsewhere" not in here


def test_measured_times_come_last_and_all_else_is_the_same_in_a_rerun(make_study, mixed):
    again = [record | {"seconds": {"train": 7.0}} for record in mixed]
    again = [
        record | {"measures": record["measures"] | {"planning_seconds": 3.0}} if record["measures"] else record
        for record in again
    ]
    tables = [summary(make_study(), records) for records in (mixed, again)]
    timed = tables[0]["timed"].to_list()
    assert timed == sorted(timed)
    assert set(tables[0].filter("timed")["measure"]) == {"planning_seconds", "seconds/train", "seconds/measures"}
    assert tables[0].filter(~pl.col("timed")).equals(tables[1].filter(~pl.col("timed")))


def test_the_table_names_what_was_asked_and_how_it_was_judged(make_study, mixed):
    text = markdown(make_study(sets={"optim.steps": 500}), mixed)
    for said in (
        "world two_room, scale local",
        "Question: How small can the predictor be?",
        "Primary measure: success_rate. Baseline: small. Margin: 5 points.",
        "Protocol: strict, test split, 100 tasks, goal 25 env steps ahead, at most 50 steps.",
        "Seeds: 0, 1, 2.",
        "Set: optim.steps=500.",
        "Intervals (95 %)",
    ):
        assert said in text


def test_an_arm_that_trained_like_another_is_flagged_once(make_study, make_record):
    records = sound(make_record, tiny=(95, 95, 95), small=(95, 95, 95), base=(95, 95, 95))
    for record in records[:3]:
        record["identical_to"] = "small"
    records[3]["identical_to"] = "tiny"
    text = markdown(make_study(), records)
    assert text.count("Same training, bit for bit: small and tiny. What tells them apart had no effect.") == 1


def test_records_that_were_not_planned_are_left_out_aloud(make_study, make_record):
    records = sound(make_record, tiny=(80,) * 4, small=(95,) * 3, base=(95,) * 3, huge=(99,))
    assert row(make_study(), records, "tiny")["seeds"] == 3
    text = markdown(make_study(), records)
    assert "Not planned and left out: huge seed 0, tiny seed 3." in text
    assert "% Not planned" in latex(make_study(), records)


def test_a_member_of_a_family_of_measures_takes_its_unit(make_study, make_record):
    records = sound(make_record, tiny=(80,) * 3, small=(95,) * 3, base=(95,) * 3)
    for record in records:
        record["measures"]["probe_r2/agent_position"] = 0.99
    assert row(make_study(), records, "tiny", "probe_r2/agent_position")["unit"] == "R²"


def test_a_rate_whose_tasks_were_not_kept_has_an_interval_over_seeds_within_0_and_1(make_study, make_record):
    records = [record | {"tasks": []} for record in sound(make_record, tiny=(100, 90, 99), small=(95, 96, 97))]
    tiny = row(make_study(), records, "tiny")
    assert tiny["tasks"] == 0
    assert tiny["low"] < tiny["mean"] < tiny["high"] == 1.0
    assert tiny["difference"] == pytest.approx(1 / 300)


def test_tasks_that_only_some_trials_planned_are_not_compared(make_study, make_record):
    records = sound(make_record, tiny=(80,) * 3, small=(95,) * 3)
    records += [make_record("base", seed, 50, tasks=50) for seed in range(3)]
    base = row(make_study(), records, "base")
    assert (base["mean"], base["tasks"]) == (1.0, 50)
    assert base["difference"] == pytest.approx(0.0)  # on the 50 tasks that both planned, which both solved


def test_latex_escapes_its_text_and_separates_floors(make_study, mixed):
    text = latex(make_study(question="Is 5 % & more a_lot {of} #success?"), mixed)
    assert r"Is 5 \% \& more a\_lot \{of\} \#success?" in text
    rules = [one for one in text.splitlines() if "rule" in one]
    assert rules == [r"\toprule", r"\midrule", r"\midrule", r"\bottomrule"]
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    assert len({one.count(" & ") for one in body.splitlines() if one.endswith(r"\\")}) == 1
    assert r"82.0 (2/3)" in body


def test_csv_reads_back_as_it_was(make_study, mixed):
    table = summary(make_study(), mixed)
    back = pl.read_csv(io.StringIO(table.write_csv()), schema=table.schema)
    assert back.equals(table)
