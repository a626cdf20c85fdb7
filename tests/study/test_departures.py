"""What a scale sets otherwise than the papers did is said of the arms that it is true of, and of nothing else."""

from __future__ import annotations

import pytest

from search_spaces._sweep import Arm, Sweep
from study import departures
from study import plan as plans
from trainables.scales import local

SIGREG = "terms.sigreg.projections 128 (published 1024), terms.sigreg.weight 0.01 (published 0.09)"
WEIGHT = "terms.sigreg.weight"


def notes(*arms, base="lewm", scale="local", **sets):
    sweep = Sweep(question="?", base=base, worlds={"local": "two_room"}, arms=arms, baseline=arms[0].name)
    return departures.notes(plans.Study(name="x", sweep=sweep, world="two_room", scale=scale, sets=sets, seeds=(0, 1)))


def sentence(each):
    return [f"At scale local these settings are not the published ones: {each}; trainables/scales/local.py says why."]


def test_the_methods_say_by_arm_what_is_not_published_of_them():
    (note,) = departures.notes(plans.make_study("methods", sets={}))
    assert [note] == sentence(
        f"lewm, smwm_sigreg: {SIGREG}; pldm: terms.variance.weight 0.6 (published 18), terms.covariance.weight 0.4 "
        "(published 12), terms.time_similarity.weight 0.0067 (published 0.2), terms.time_variance.weight 0.023 "
        "(published 0.7), terms.time_variance.frames 2 (published 4); pldm_original: terms.unrolled_forward.steps 3 "
        "(published 15), terms.time_variance.frames 4 (published 16)"
    )


def test_what_all_arms_share_is_said_once_and_of_every_arm():
    assert departures.notes(plans.make_study("predictor_size", sets={})) == sentence(f"every arm: {SIGREG}")


def test_what_an_arm_sets_itself_is_not_said_of_it():
    found = departures.notes(plans.make_study("sigreg_weight", sets={}))
    assert found == sentence("every arm: terms.sigreg.projections 128 (published 1024)")
    mixed = notes(Arm("base"), Arm("more", {WEIGHT: 0.3}))
    assert mixed == sentence(
        "every arm: terms.sigreg.projections 128 (published 1024); base: terms.sigreg.weight 0.01 (published 0.09)"
    )


def test_what_is_set_by_hand_is_not_said_again_and_published_values_are_no_departure():
    arms = Arm("one"), Arm("two", {"predictor.dropout": 0.2})
    assert notes(*arms, **{WEIGHT: 0.01, "terms.sigreg.projections": 64}) == []
    assert notes(*arms, **{"terms.sigreg.projections": 1024}) == sentence(
        "every arm: terms.sigreg.weight 0.01 (published 0.09)"
    )


def test_a_term_that_joins_is_compared_with_its_own_file():
    assert notes(Arm("one"), Arm("both", {"terms.sigreg": "sigreg"}), base="smwm") == sentence(f"both: {SIGREG}")


@pytest.mark.parametrize("sweep", ["inverse_weight", "controllability"])
def test_where_the_scale_has_no_values_of_its_own_nothing_is_said(sweep):
    assert departures.notes(plans.make_study(sweep, sets={})) == []


@pytest.mark.parametrize("scale", ["gpu", "paper"])
def test_the_other_scales_keep_to_the_papers(scale):
    assert departures.notes(plans.make_study("methods", scale=scale, sets={})) == []


def test_a_value_of_the_scale_that_is_the_published_one_is_no_departure(monkeypatch):
    monkeypatch.setitem(local.SIZES, "terms.sigreg", {"weight": 0.09, "projections": 512})
    arms = Arm("one"), Arm("two", {"predictor.dropout": 0.2})
    assert notes(*arms) == sentence("every arm: terms.sigreg.projections 512 (published 1024)")
