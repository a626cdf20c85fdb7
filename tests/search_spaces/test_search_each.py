"""Every arm of a sweep tuned by a search of its own: what is declared, and what cannot be."""

from __future__ import annotations

import pytest

import search_spaces
from search_spaces._search import asha, search, search_each
from search_spaces._space import choice, log_uniform
from search_spaces._sweep import Arm, Sweep, methods
from trainables.settings import ConfigError

INVERSE_WEIGHT = "terms.inverse.weight"
INVERSE = {INVERSE_WEIGHT: log_uniform(0.03, 100.0)}
SIGREG = {"terms.sigreg.weight": log_uniform(1e-3, 1.0)}
EACH = {"smwm": INVERSE, "lewm": SIGREG}


def sweep(each=None, arms=("smwm", "lewm"), budget=6, **options):
    return Sweep(
        question="Which plans best?",
        base="smwm",
        worlds={"local": "two_room"},
        arms=methods(*arms),
        baseline="smwm",
        search=search_each(EACH if each is None else each, ["success_rate"], budget, **options),
    )


def test_each_arm_has_the_search_that_it_would_have_alone():
    declared = sweep(sampler="random", seed=3, prune=asha("probe_r2"), confirm=2)
    for stratum, (arm, space) in zip(declared.strata, EACH.items(), strict=True):
        alone = search(space, ["success_rate"], 6, sampler="random", seed=3, prune=asha("probe_r2"), confirm=2)
        assert {**vars(stratum.search), "arm": "default"} == vars(alone)
        assert (stratum.baseline, [each.name for each in stratum.arms], stratum.search.arm) == (arm, [arm], arm)


def test_a_candidate_is_its_arm_with_what_was_chosen_on_validation_tasks():
    smwm, lewm = sweep().strata
    config = lewm.candidate("two_room", "local", {"optim.steps": 7}, {"terms.sigreg.weight": 0.5})
    assert (config.method, set(config.terms), config.terms["sigreg"].weight) == ("lewm", {"forward", "sigreg"}, 0.5)
    assert (config.optim.steps, config.seed, config.protocol.split) == (7, 1000, "validation")
    other = smwm.candidate("two_room", "local", {}, {"terms.inverse.weight": 0.5})
    assert (other.method, set(other.terms)) == ("smwm", {"forward", "inverse"})


def test_what_was_found_stands_beside_the_arms_that_were_declared():
    found = {
        "lewm tuned": {"method": "lewm", "terms.sigreg.weight": 0.5},
        "smwm trial 3": {"terms.inverse.weight": 2.0},
    }
    confirmed = sweep(confirm=2).confirming(found)
    assert [arm.name for arm in confirmed.arms] == ["smwm", "lewm", "lewm tuned", "smwm trial 3"]
    trials = {trial.arm: trial.config for trial in confirmed.trials("two_room", "local", {}, [0])}
    assert trials["lewm tuned"].terms["sigreg"].weight == 0.5
    assert trials["smwm trial 3"].terms["inverse"].weight == 2.0
    with pytest.raises(ConfigError, match="each: arm 'forward' has no space"):
        confirmed.confirming({"forward": {"method": "forward_only"}})


def test_trials_are_called_after_their_arm_unless_there_is_one_search():
    lewm = sweep().strata[1].search
    assert (lewm.name("trial 3"), search(SIGREG, ["success_rate"], 6).name("trial 3")) == ("lewm trial 3", "trial 3")
    assert [name for name in ("lewm tuned", "lewm trial 12", "lewm trial 1x", "lewm", "tuned", "lewm big tuned")
            if lewm.owns(name)] == ["lewm tuned", "lewm trial 12"]  # fmt: skip


BAD = {
    "no spaces": ({"each": {}}, r"^each: \{\} has no space in it"),
    "no mapping": ({"each": [SIGREG]}, "^each: .* has no space in it"),
    "an empty space": ({"each": {**EACH, "lewm": {}}}, "^each: lewm: space: .*nothing in it to search"),
    "no dimension": ({"each": {**EACH, "lewm": {"optim.lr": 3}}}, "^each: lewm: space: optim.lr is 3"),
    "an arm that is not there": ({"each": {**EACH, "lewn": SIGREG}}, "^each: 'lewn' .*did you mean 'lewm'"),
    "an arm without a space": ({"each": {"smwm": INVERSE}}, "^each: arm 'lewm' has no space to be tuned in"),
    "an unknown setting": (
        {"each": {**EACH, "lewm": {"terms.sigreg.wieght": log_uniform(0.1, 1.0)}}},
        r"^each: lewm: terms\.sigreg\.wieght: .*did you mean 'terms\.sigreg\.weight'",
    ),
    "a dimension that changes nothing": (
        {"each": {**EACH, "smwm": {"method": choice("smwm", "smwm ")}}},
        "^each: smwm: method: 'smwm ' is unknown, did you mean 'smwm'",
    ),
    "a value out of range": (
        {"each": {**EACH, "smwm": {"optim.lr": log_uniform(0.1, 10.0)}}},
        r"^each: smwm: optim\.lr: 10\.0: .*less than or equal to 1",
    ),
    "no budget": ({"budget": 0}, "^budget: 0 is no whole number of at least 1"),
    "an unknown sampler": ({"sampler": "tqe"}, "^sampler: 'tqe' is unknown, did you mean 'tpe'"),
    "a space too small for its sampler": ({"sampler": "cmaes"}, "^sampler: cmaes needs at least two dimensions"),
    "a tuning seed that confirms": ({"tuning_seeds": (0,)}, "^seeds: 0 is a tuning seed, too"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_is_refused_when_it_is_declared(changes, message):
    with pytest.raises(ConfigError, match=message):
        sweep(**changes)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"terms.sigreg.weight": 0.5}, r"terms\.sigreg\.weight: cannot be set, the sweep varies"),
        ({"method": "lewm"}, "method: cannot be set, the sweep varies method"),
        ({"optim.lr": 1e-3}, r"optim\.lr: cannot be set, the search varies optim\.lr"),
        ({"protocol.split": "test"}, r"protocol\.split: cannot be set, the search varies"),
    ],
)
def test_a_set_on_what_any_of_the_searches_varies_is_refused(sets, message):
    declared = sweep({**EACH, "lewm": {**SIGREG, "optim.lr": log_uniform(1e-4, 1e-2)}})

    def study():
        return declared.trials("two_room", "local", sets, [0]), declared.check_space("two_room", "local", sets)

    with pytest.raises(ConfigError, match=message):
        study()


def test_pldm_is_tuned_without_an_inverse_term_and_with_one():
    declared = search_spaces.load("tune_pldm")
    weights = {path: 1.0 for path in declared.search.space if path != "terms.inverse"}
    without = declared.candidate("two_room", "local", {}, {**weights, "terms.inverse": None})
    having = declared.candidate("two_room", "local", {}, {**weights, "terms.inverse": "inverse", INVERSE_WEIGHT: 0.3})
    assert set(having.terms) - set(without.terms) == {"inverse"} and having.terms["inverse"].weight == 0.3
    assert {without.terms[path.split(".")[1]].weight for path in weights} == {1.0}


def test_arms_need_not_be_methods():
    declared = Sweep(
        question="Which encoder gains more by tuning?",
        base="lewm",
        worlds={"local": "two_room"},
        arms=[Arm("conv"), Arm("vit", {"encoder": "vit"})],
        baseline="conv",
        search=search_each({"conv": SIGREG, "vit": {**SIGREG, "encoder.depth": choice(2, 4)}}, ["success_rate"], 4),
    )
    config = declared.strata[1].candidate("two_room", "local", {}, {"encoder.depth": 2})
    assert (config.encoder.name, config.encoder.depth) == ("vit", 2)
