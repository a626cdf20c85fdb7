"""What the papers find, at the smallest scale that shows it (arXiv:2606.20104, section 4: the single dot)."""

import pytest

from trainables import pipeline

SMALL = {
    "data__episodes": 120,
    "data__held_out": 30,
    "data__image_size": 64,
    "encoder__channels": 8,
    "optim__steps": 250,
    "optim__batch": 64,
    "optim__lr": 2e-3,
    "projector__dim": 16,
    "measures__probe_r2__fit": 800,
}


@pytest.fixture(scope="module")
def judged(tiny, shelf):
    return {
        method: pipeline.run_trial(tiny(method, "single_dot", **SMALL), shelf) for method in ("forward_only", "smwm")
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
