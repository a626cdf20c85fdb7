"""Measures on inputs whose value is known, and the rule of collapse."""

import numpy as np
import pytest

from trainables import ids, pipeline, plugins
from trainables.measures import latent_spectrum, probe_r2
from trainables.measures._trained import Trained

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", plugins.names("measures"))
def test_every_measure_reports_what_it_declares_and_repeats_itself(name, tiny, shelf, data):
    config = tiny("smwm")
    pipeline.run_trial(config, shelf)
    trained, plugin = Trained(shelf.get(ids.train_key(config)), data(config)), plugins.load("measures", name)
    one, two = (plugin.measure(trained, config, pipeline._map) for _ in range(2))
    assert set(plugin.VALUES) <= set(one.values)
    assert all(np.isfinite(value) for value in one.values.values())
    timed = {name for name, value in plugin.VALUES.items() if value.timed}
    assert {k: v for k, v in one.values.items() if k not in timed} == {
        k: v for k, v in two.values.items() if k not in timed
    }
    assert one.tasks == two.tasks


def test_the_probe_reads_a_linear_state_and_not_noise():
    x, new = RNG.normal(size=(400, 5)), RNG.normal(size=(200, 5))
    weight = RNG.normal(size=(5, 2))
    assert probe_r2.linear_r2(x, x @ weight + 3, new, new @ weight + 3, 1e-3) == pytest.approx(1, abs=1e-6)
    assert probe_r2.linear_r2(x, RNG.normal(size=(400, 2)), new, RNG.normal(size=(200, 2)), 1e-3) < 0.05


@pytest.mark.parametrize(
    ("values", "rank"), [([1, 1, 1, 1], 4.0), ([5, 0, 0, 0], 1.0), ([1, 1, 0, 0], 2.0), ([0, 0, 0, 0], 1.0)]
)
def test_effective_rank_of_known_spectra(values, rank):
    assert latent_spectrum.effective_rank(np.array(values, float)) == pytest.approx(rank)


def test_effective_rank_ignores_scale():
    values = RNG.random(16)
    assert latent_spectrum.effective_rank(values) == pytest.approx(latent_spectrum.effective_rank(1e-6 * values))


@pytest.mark.parametrize("dimensions", [1, 2, 4, 6])
def test_the_knee_comes_after_the_directions_that_carry_the_variance(dimensions):
    values = np.sort(np.concatenate([0.5 + RNG.random(dimensions), 0.01 * (0.5 + RNG.random(16 - dimensions))]))[::-1]
    assert latent_spectrum.knee(values) == dimensions


def test_eigenvalues_are_those_of_the_covariance():
    z = RNG.normal(size=(20000, 3)) * [3.0, 1.0, 0.1] + 7
    assert latent_spectrum.eigenvalues(z) == pytest.approx([9, 1, 0.01], rel=0.05)


@pytest.mark.parametrize(
    ("measures", "status"),
    [
        ({"variance_kept": 0.5, "rollout_error_1": 0.1}, None),
        ({"variance_kept": 0.0099, "rollout_error_1": 0.1}, "collapsed"),
        ({"variance_kept": 0.5, "rollout_error_1": 1.0}, "collapsed"),
        ({}, None),
    ],
)
def test_the_rule_of_collapse(measures, status):
    assert pipeline._collapse(measures) == status
