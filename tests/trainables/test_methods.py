"""Methods are what was published: which terms, what they weigh, and how long their clips are."""

import pytest

from trainables.paths import base_config

INVERSE = {"two_room": 0.1, "reacher": 5.0, "push_t": 30.0, "cube": 1.0, "sprite": 10.0, "dots_distractor": 10.0}


def weights(method, world="two_room"):
    return {name: term.weight for name, term in base_config(method, world, "paper").terms.items()}


def test_pldm_is_table_2_of_lewm():
    expected = {"forward": 1.0, "variance": 18.0, "covariance": 12.0, "time_similarity": 0.2, "time_variance": 0.7}
    assert weights("pldm") == expected
    assert base_config("pldm", "two_room", "paper").clip == 4


def test_pldm_original_is_its_wall_setting():
    config = base_config("pldm_original", "two_room", "paper")
    assert weights("pldm_original") == {
        "unrolled_forward": 1.0,
        "variance": 3.9843,
        "covariance": 6.9238,
        "time_similarity": 0.74242,
        "time_variance": 0.24535,
        "inverse": 1.072,
    }
    assert config.clip == 16 and config.terms["inverse"].width == 512
    assert config.terms["variance"].steps == config.terms["covariance"].steps == "first"
    over_time = config.terms["time_variance"]
    assert (over_time.frames, over_time.skip, over_time.batch_centred) == (16, 1, False)


def test_smwm_sigreg_is_the_published_mixture():
    assert weights("smwm_sigreg") == {"forward": 1.0, "inverse": 10.0, "sigreg": 0.09}


@pytest.mark.parametrize("world", INVERSE)
def test_smwm_multistep_has_smwms_weight_of_the_world(world):
    assert weights("smwm", world)["inverse"] == INVERSE[world]
    assert weights("smwm_multistep", world) == {"forward": 1.0, "multi_step_inverse": INVERSE[world]}
    assert base_config("smwm_multistep", world, "paper").clip == 5
