"""PLDM's terms against hand-computed values, and their invariances."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from envs._episodes import Clips, Episodes
from tests.trainables._batches import latents, sample
from trainables import objective, training
from trainables.paths import assign_all
from trainables.terms import covariance, time_covariance, time_similarity, time_variance, unrolled_forward, variance


def clips(*rows):
    """Latents (B, T, 1, D) of rows of frames of numbers."""
    return torch.tensor(rows, dtype=torch.float64).unsqueeze(2)


def value(term, z, **settings):
    return term.loss(term.Config(**settings), None, latents(z)).item()


STATISTICS = {
    "variance": lambda z: value(variance, z, target=100.0),
    "covariance": lambda z: value(covariance, z),
    "time_similarity": lambda z: value(time_similarity, z),
    "time_variance": lambda z: value(time_variance, z, target=100.0),
    "time_covariance": lambda z: value(time_covariance, z),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_where_the_latent_lies_does_not_matter(name):
    z, shift = sample(32, 4, 1, 8).double(), sample(8, seed=1).double()
    assert STATISTICS[name](z + shift) == pytest.approx(STATISTICS[name](z), rel=1e-9)


@pytest.mark.parametrize(("name", "power"), [("covariance", 4), ("time_similarity", 2), ("time_covariance", 4)])
def test_what_the_size_of_the_latent_does(name, power):
    z = sample(32, 4, 1, 8).double()
    assert STATISTICS[name](3 * z) == pytest.approx(3**power * STATISTICS[name](z), rel=1e-9)


@pytest.mark.parametrize("name", ["variance", "time_variance"])
def test_a_deviation_of_three_times_the_size_falls_short_by_three_times_the_deviation_less(name):
    # 100 - 3 std instead of 100 - std; 1e-4 beside a variance near 1 changes a root by 1e-4 at most.
    z = sample(256, 4, 1, 8).double()
    deviation = 100 - STATISTICS[name](z)
    assert STATISTICS[name](3 * z) == pytest.approx(100 - 3 * deviation, abs=1e-3)


def test_variance_is_the_shortfall_of_the_unbiased_deviation_over_the_batch():
    # Unbiased variances: (1 + 1) / 1 = 2, no shortfall, and (0.01 + 0.01) / 1 = 0.02, 1 - sqrt(0.0201) = 0.858226.
    z = clips([[0.0, 0.0]], [[2.0, 0.2]])
    assert value(variance, z) == pytest.approx(0.858226 / 2, abs=1e-6)
    assert value(variance, z, target=0.1) == 0


def test_variance_of_a_constant_batch_is_the_target_less_a_hundredth_and_its_gradient_is_finite():
    z = torch.ones(8, 2, 1, 3, requires_grad=True)
    loss = variance.loss(variance.Config(), None, latents(z))
    loss.backward()
    assert loss.item() == pytest.approx(0.99, abs=1e-6)
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("term", [variance, covariance])
def test_a_statistic_over_the_batch_is_of_all_frames_on_average_or_of_the_first(term):
    first, second = sample(16, 1, 1, 4).double(), 0.1 * sample(16, 1, 1, 4, seed=1).double()
    both, one, other = value(term, torch.cat([first, second], 1)), value(term, first), value(term, second)
    assert both == pytest.approx((one + other) / 2, rel=1e-9) and one != pytest.approx(other, rel=0.1)
    assert value(term, torch.cat([first, second], 1), steps="first") == pytest.approx(one, rel=1e-9)


def test_covariance_is_the_mean_square_beside_the_diagonal():
    # Dimensions 1 and 2 have the unbiased covariance (1 + 1) / 1 = 2, twice among the 3 x 2 elements: 2 * 4 / 6.
    assert value(covariance, clips([[1.0, 1.0, 5.0]], [[-1.0, -1.0, 5.0]])) == pytest.approx(8 / 6, rel=1e-9)


def test_covariance_of_independent_dimensions_is_what_chance_leaves():
    # E C_ij^2 = 1 / (B - 1) for B standard normal rows: 1 / 255, over 32 x 31 / 2 pairs and 4 frames to about 3 %.
    assert value(covariance, sample(256, 4, 1, 32)) == pytest.approx(1 / 255, rel=0.15)


def test_patches_are_dimensions_like_any_others():
    z = sample(16, 4, 3, 2)
    for name, statistic in STATISTICS.items():
        assert statistic(z) == pytest.approx(statistic(z.reshape(16, 4, 1, 6)), rel=1e-6), name


def test_time_similarity_is_the_mean_squared_step_with_gradients_into_both_ends():
    z = torch.tensor([[[[0.0, 0.0]], [[1.0, 2.0]], [[1.0, 0.0]]]], requires_grad=True)
    loss = time_similarity.loss(time_similarity.Config(), None, latents(z))
    loss.backward()
    assert loss.item() == (1 + 4 + 0 + 4) / 4
    assert z.grad[0, :, 0].tolist() == [[-0.5, -1.0], [0.5, 2.0], [0.0, -1.0]]


def test_time_variance_sees_what_remains_when_each_frames_mean_is_taken_off():
    # Means over the batch 0, 0.5, 1, 1.5 leave both clips with the unbiased variance 1.25 / 3: 1 - sqrt(0.416767).
    z = clips([[0.0], [1.0], [2.0], [3.0]], [[0.0], [0.0], [0.0], [0.0]])
    assert value(time_variance, z) == pytest.approx(1 - 0.416767**0.5, abs=1e-6)
    # Otherwise the first clip has the variance 5 / 3, no shortfall, and the second none: (0 + 0.99) / 2.
    assert value(time_variance, z, batch_centred=False) == pytest.approx(0.495, abs=1e-6)


def test_movement_that_all_clips_share_counts_only_where_the_mean_stays():
    z = torch.arange(4.0).view(1, 4, 1, 1).expand(8, 4, 1, 1)
    assert value(time_variance, z) == pytest.approx(0.99, abs=1e-6)
    assert value(time_variance, z, batch_centred=False) == 0


def test_time_covariance_is_the_mean_square_beside_the_diagonal_of_one_clips_covariance():
    # Both dimensions run 0, 1, 2: unbiased covariance 1; minus 1 when the second runs backwards, 0 when it rests.
    same, back, rest = ([[0.0, 0.0], [1.0, slope], [2.0, 2 * slope]] for slope in (1.0, -1.0, 0.0))
    z = clips(same, back, rest)
    assert value(time_covariance, z, frames=3, batch_centred=False) == pytest.approx((1 + 1 + 0) / 3, rel=1e-9)


@pytest.mark.parametrize("term", [time_variance, time_covariance])
def test_terms_over_time_see_their_own_frames_and_no_others(term):
    z = 0.3 * sample(8, 6, 1, 4).double()
    assert value(term, z) == pytest.approx(value(term, z[:, :4]), rel=1e-9)
    late = {"frames": 6, "batch_centred": False}
    jump = torch.cat([z[:, :1] + 100, z[:, 1:]], dim=1)
    assert value(term, jump, skip=1, **late) == pytest.approx(value(term, z, skip=1, **late), rel=1e-9)
    assert value(term, jump, **late) != pytest.approx(value(term, z, **late), rel=0.1)
    assert term.Config(frames=6).clip(1) == term.Config(frames=6).clip(3) == 6


def test_terms_over_time_want_two_frames():
    with pytest.raises(ValidationError, match="skip=3 leaves less than two of frames=4, 2 do"):
        time_variance.Config(skip=3)
    assert time_variance.Config(skip=2).clip(1) == 4


def test_unrolled_forward_compares_what_comes_after_the_history_with_gradients_into_the_target_too():
    z = clips([[9.0], [1.0], [2.0], [4.0], [9.0]]).requires_grad_()
    unrolled = clips([[0.0], [5.0], [9.0]]).requires_grad_()
    loss = unrolled_forward.loss(unrolled_forward.Config(steps=2), None, latents(z, unrolled=unrolled, history=2))
    loss.backward()
    assert loss.item() == ((0 - 2) ** 2 + (5 - 4) ** 2) / 2
    assert z.grad.flatten().tolist() == [0.0, 0.0, 2.0, -1.0, 0.0]
    assert unrolled.grad.flatten().tolist() == [-2.0, 1.0, 0.0]


@pytest.fixture(scope="module")
def losses(tiny, data):
    """The function that gives the losses of an untrained model without dropout, and the gradients of one of them."""

    def of(name, **changes):
        config = assign_all(tiny("forward_only", predictor__dropout=0.0), changes)
        episodes = Episodes(data(config)["train"])
        model = training.build(config, episodes)
        pixels, actions = Clips(episodes, config.clip, config.frameskip).gather(torch.arange(16).numpy())
        found = objective.Objective(model, config)(
            training.frames(pixels, torch.device("cpu")), torch.from_numpy(actions), 0
        )
        model.zero_grad()
        found[name].backward()
        return SimpleNamespace(values=found, gradients={k: p.grad for k, p in model.named_parameters()})

    return of


def test_one_unrolled_step_is_the_forward_term(losses):
    found = losses("unrolled_forward", **{"terms.unrolled_forward.steps": 1})
    assert found.values["unrolled_forward"].item() == pytest.approx(found.values["forward"].item(), rel=1e-5)


def test_unrolled_predictions_are_fed_back(losses):
    found = losses("unrolled_forward", **{"terms.unrolled_forward.steps": 3})
    assert found.values["unrolled_forward"].item() != pytest.approx(found.values["forward"].item(), rel=1e-3)
    assert all(gradient is not None for gradient in found.gradients.values())
