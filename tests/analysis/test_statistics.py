"""Intervals hold what they say, count seeds and tasks, and never claim certainty."""

import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis import statistics

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "coverage.py"))
SHAPES = st.tuples(st.integers(3, 6), st.integers(2, 20))
SOLVED = SHAPES.flatmap(lambda shape: arrays(bool, shape))
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def rows(*solved, tasks=100):
    """Seeds that solve their first tasks, (S, M)."""
    return np.arange(tasks) < np.array(solved)[:, None]


def spread_out(*solved, tasks=100):
    """Seeds that solve so many tasks, other ones each."""
    return np.array([np.random.default_rng(i).permutation(row) for i, row in enumerate(rows(*solved, tasks=tasks))])


# --- success rates


def test_perfect_success_is_wilson_with_all_tries_and_student_quantile():
    """S = 3, M = 100, t(2) = 4.303: low = n / (n + t^2) = 300 / 318.5."""
    found = statistics.success_rate(rows(100, 100, 100))
    assert (found.mean, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(300 / (300 + 4.302653**2), abs=1e-6)


def test_seeds_that_differ_as_coins_do_get_wilson_on_all_tries():
    """Rates 0.90 each, so no spread between seeds beyond chance, and other tasks fail in each: n = 300, t(2)."""
    found = statistics.success_rate(spread_out(90, 90, 90))
    t, n, p = stats.t.isf(0.025, 2), 300, 0.9
    half = t / (1 + t * t / n) * np.sqrt(p * (1 - p) / n + t * t / (4 * n * n))
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_seeds_that_differ_widen_the_interval_and_more_tasks_do_not_narrow_it():
    alike, apart = (statistics.success_rate(spread_out(*solved)) for solved in ((90, 90, 90), (80, 90, 100)))
    many = statistics.success_rate(spread_out(800, 900, 1000, tasks=1000))
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)
    assert many.high - many.low > 0.9 * (apart.high - apart.low)


def test_tasks_that_fail_in_every_seed_widen_the_interval():
    """Ten seeds fail the same 10 of 100 tasks: that is the evidence of 100 tasks, not of 1,000 tries."""
    same, other = (statistics.success_rate(make(*[90] * 10)) for make in (rows, spread_out))
    assert same.high - same.low > 2 * (other.high - other.low)
    assert same.low == pytest.approx(stats.binomtest(90, 100).proportion_ci(method="wilson").low, abs=0.01)


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_have_no_interval(seeds):
    x = rows(*[90] * seeds)
    assert statistics.success_rate(x) == (0.9, None, None)
    assert statistics.mean_over_seeds(x.mean(1)) == (0.9, None, None)
    difference = statistics.success_difference(x, rows(*[80] * seeds), 0.05)
    assert difference.mean == pytest.approx(0.1)
    assert (difference.low, difference.high, difference.p, difference.p_equivalent) == (None,) * 4


@settings(max_examples=200, deadline=None)
@given(SOLVED)
def test_the_interval_of_a_rate_holds_it_within_0_and_1_and_has_a_width(solved):
    found = statistics.success_rate(solved)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0.01
    tries = stats.binomtest(int(solved.sum()), solved.size).proportion_ci(method="wilson")
    assert found.high - found.low >= tries.high - tries.low - 1e-9


@settings(max_examples=50, deadline=None)
@given(SOLVED, st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_tasks_does_not_matter(solved, random):
    seeds, tasks = (random.sample(range(n), n) for n in solved.shape)
    assert statistics.success_rate(solved[seeds][:, tasks]) == pytest.approx(statistics.success_rate(solved))


@settings(max_examples=50, deadline=None)
@given(SOLVED)
def test_success_and_failure_mirror_each_other(solved):
    rate, failed = statistics.success_rate(solved), statistics.success_rate(~solved)
    assert (failed.low, failed.high) == pytest.approx((1 - rate.high, 1 - rate.low), abs=1e-9)


def test_a_task_more_in_every_seed_moves_the_interval_up():
    found = [statistics.success_rate(spread_out(n, n, n)) for n in range(0, 101, 10)]
    for low, high in itertools.pairwise(found):
        assert low.low <= high.low
        assert low.high <= high.high


def test_one_checkpoint_has_wilsons_interval():
    expected = stats.binomtest(44, 50).proportion_ci(method="wilson")
    found = statistics.checkpoint_rate(np.arange(50) < 44)
    assert found == pytest.approx((0.88, expected.low, expected.high))


def test_repeats_of_the_same_tasks_are_no_new_tasks():
    once = np.arange(50) < 44
    assert statistics.checkpoint_rate(np.stack([once] * 5)) == pytest.approx(statistics.checkpoint_rate(once))
    assert statistics.checkpoint_rate(np.zeros((3, 50))).high == pytest.approx(0.0714, abs=1e-4)


# --- other measures


def test_a_mean_over_seeds_has_students_interval():
    """1, 2, 3: mean 2, s = 1, t(2) / sqrt(3) = 2.484."""
    assert statistics.mean_over_seeds(np.array([1, 2, 3])) == pytest.approx((2, 2 - 2.4841, 2 + 2.4841), abs=1e-4)


def test_seeds_that_all_say_the_same_have_no_interval_rather_than_none_of_a_width():
    assert statistics.mean_over_seeds(np.array([2.0, 2.0, 2.0])) == (2.0, None, None)
    assert statistics.mean_difference(np.array([0.3, 0.4, 0.5]), np.array([0.1, 0.2, 0.3])).low is None


def test_a_paired_difference_of_a_measure_is_the_paired_t_test():
    arm, baseline = np.array([1.0, 2.5, 3.1, 4.0]), np.array([0.8, 2.0, 3.3, 3.1])
    test = stats.ttest_rel(arm, baseline)
    found = statistics.mean_difference(arm, baseline)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()))


# --- differences of success


def test_the_same_difference_in_every_seed_is_no_certainty():
    found = statistics.success_difference(spread_out(90, 90, 90), spread_out(85, 85, 85))
    assert found.mean == pytest.approx(0.05)
    assert found.low < 0.0 < 0.1 < found.high


def test_no_difference_at_all_still_has_a_width():
    x = rows(100, 100, 100)
    found = statistics.success_difference(x, x, 0.05)
    assert found.low == pytest.approx(-found.high)
    assert 0.01 < found.high < 0.05
    assert found.p == 1
    assert found.p_equivalent < 0.05


def test_all_against_nothing_is_certain_in_sign_only():
    found = statistics.success_difference(rows(100, 100, 100), rows(0, 0, 0))
    assert (found.mean, found.high) == (1, 1)
    assert 0.9 < found.low < 1
    assert found.p < 0.001
    assert (found.p_exact, found.p_least) == (0.25, 0.25)


def test_tasks_that_only_one_arm_solves_count_as_a_sample_of_tasks():
    """Ten of 100 tasks are lost in each of 10 seeds: seeds alone would say -0.1 exactly."""
    found = statistics.success_difference(rows(*[90] * 10), rows(*[100] * 10))
    assert found.mean == pytest.approx(-0.1)
    assert found.high - found.low > 0.1
    assert found.high < 0


def test_pairing_by_task_helps_when_arms_fail_on_the_same_tasks():
    baseline, arm = spread_out(*[70] * 5), spread_out(*[70] * 5)
    apart = np.roll(arm, 50, axis=1)
    paired, unpaired = (statistics.success_difference(x, baseline) for x in (arm, apart))
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_the_interval_of_a_difference_holds_it_and_agrees_with_its_p(pair):
    found = statistics.success_difference(*pair)
    assert -1 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0.01
    if not -1 < found.low < found.high < 1:
        return
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


@settings(max_examples=50, deadline=None)
@given(PAIRS)
def test_swapping_arm_and_baseline_turns_the_sign(pair):
    there, back = statistics.success_difference(*pair, 0.1), statistics.success_difference(*pair[::-1], 0.1)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))
    assert back[3:] == pytest.approx(there[3:])


def test_equivalence_needs_the_interval_within_the_margin_and_a_wider_margin_is_easier():
    pair = spread_out(95, 96, 95, 96, 95), spread_out(95, 95, 96, 96, 95)
    p = [statistics.success_difference(*pair, margin).p_equivalent for margin in (0.01, 0.05, 0.1, 0.3)]
    assert p == sorted(p, reverse=True)
    assert p[0] > 0.05 > p[-1]
    far = statistics.success_difference(spread_out(60, 60, 60), spread_out(95, 95, 95), 0.05)
    assert far.p_equivalent > 0.5


# --- tests


def test_the_sign_flip_test_tries_every_sign():
    """Differences 1, 2, 3: of 8 sums only +6 and -6 are as far from 0; with a -1 instead of 1, sum 4: 4 of 8."""
    assert statistics.sign_flip(np.array([1, 2, 3])) == 2 / 8
    assert statistics.sign_flip(np.array([-1, 2, 3])) == 4 / 8
    assert statistics.sign_flip(np.zeros(4)) == 1
    assert statistics.sign_flip(np.array([0.1, 0.1, 0.1])) == 0.25


def test_the_sign_flip_test_agrees_with_scipy():
    x = np.random.default_rng(0).normal(0.4, 1, 9)
    test = stats.permutation_test((x,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert statistics.sign_flip(x) == pytest.approx(test.pvalue)


def test_many_seeds_draw_signs_from_the_generator_given():
    x = np.random.default_rng(0).normal(0.4, 1, 20)
    p = [statistics.sign_flip(x, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert p[0] == p[1] != p[2]
    assert p[0] == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=0.02)
    with pytest.raises(ValueError, match="pass rng"):
        statistics.sign_flip(x)


def test_holm_is_as_in_the_textbook():
    """0.01 x 4, 0.02 x 3, 0.03 x 2 raised to 0.06, 0.04 raised to 0.06."""
    assert statistics.holm([0.03, 0.01, None, 0.04, 0.02]) == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert statistics.holm([]) == []


@given(P_VALUES)
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    adjusted = statistics.holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_an_interval_over_seeds_is_cut_off_at_what_is_possible_but_keeps_its_mean():
    x = np.array([0.9, 0.99, 0.999])
    low, high = statistics.mean_over_seeds(x)[1:]
    assert high > 1
    assert statistics.mean_over_seeds(x, most=1.0)[1:] == (low, 1.0)
    assert statistics.mean_over_seeds(x, least=0.95)[1:] == (0.95, high)
    found = statistics.mean_over_seeds(x, least=2.0, most=0.5)
    assert found.low == found.mean == found.high
    assert statistics.mean_over_seeds(x[:2], 0.0, 1.0)[1:] == (None, None)


@pytest.mark.parametrize(
    ("difference", "p", "p_equivalent", "higher", "word"),
    [
        (0.1, 0.01, 0.9, True, "better"),
        (-0.1, 0.01, 0.9, True, "worse"),
        (-0.1, 0.01, None, False, "better"),
        (0.01, 0.5, 0.01, True, "equivalent"),
        (0.01, 0.01, 0.01, True, "equivalent"),
        (0.1, 0.05, 0.05, True, "undecided"),
        (0.1, None, None, True, None),
    ],
)
def test_verdicts(difference, p, p_equivalent, higher, word):
    assert statistics.verdict(difference, p, p_equivalent, higher) == word


# --- coverage


@pytest.mark.parametrize(
    ("p", "between", "correlation", "seeds", "tasks"),
    [(0.7, 0.05, 0.0, 5, 100), (0.9, 0.05, 0.0, 3, 50), (0.97, 0.02, 0.0, 10, 50), (0.9, 0.02, 0.3, 10, 100)],
)
def test_intervals_hold_the_truth_as_often_as_they_say(p, between, correlation, seeds, tasks):
    """Also where tasks differ in difficulty: there an interval over seeds alone holds 60 to 90 %."""
    rate, _, difference, _ = BENCHMARK["cell"](p, between, correlation, seeds, tasks, 300, np.random.default_rng(0))
    assert rate >= 0.93
    assert difference >= 0.93
