"""What the papers find, at the smallest scale that shows it (arXiv:2606.20104, section 4: the single dot)."""

import pytest

from trainables import pipeline

SMALL = {
    "data.episodes": 120,
    "data.held_out": 30,
    "data.image_size": 64,
    "encoder.channels": 8,
    "optim.steps": 250,
    "optim.batch": 64,
    "optim.lr": 2e-3,
    "projector.dim": 16,
    "measures.probe_r2.fit": 800,
}


@pytest.fixture(scope="module")
def judged(small, shelf):
    return {
        method: pipeline.run_trial(small(method, "single_dot", SMALL), shelf) for method in ("forward_only", "smwm")
    }


def test_prediction_alone_collapses(judged):
    assert judged["forward_only"]["status"] == "collapsed"
    assert judged["forward_only"]["measures"]["variance_kept"] < 0.01


def test_the_inverse_term_alone_prevents_collapse_and_keeps_the_position(judged):
    assert judged["smwm"]["status"] == "ok"
    assert judged["smwm"]["measures"]["probe_r2"] > 0.9


def test_the_latent_of_one_dot_has_two_directions(judged):
    assert judged["smwm"]["measures"]["knee"] == 2
    assert judged["smwm"]["measures"]["two_component_share"] > 0.8
