"""Multi-step inverse, reconstruction and straightening against hand-computed values, and their invariances."""

import pytest
import torch

from tests.trainables._batches import latents, sample
from trainables.model import MEAN, STD, WorldModel
from trainables.terms import inverse, multi_step_inverse, reconstruction, straightening
from trainables.terms._decoder import Decoder, standardised
from trainables.terms._latents import Dims


def walk(frames):
    """A clip whose latent is its frame's number, as is the action that leaves it."""
    numbers = torch.arange(float(frames))
    return numbers.view(1, frames, 1, 1), numbers[:-1].view(1, frames - 1, 1)


def test_the_first_action_is_asked_for_at_every_distance_and_from_every_frame():
    z, actions = walk(5)
    config = multi_step_inverse.Config(k_max=3)
    exact = lambda x: x[..., :1]  # noqa: E731  z_t is the action itself
    assert multi_step_inverse.loss(config, exact, latents(z, actions=actions)).item() == 0
    # z_{t+k} is k more than the action: mean of 1, 4 and 9.
    late = lambda x: x[..., 1:2]  # noqa: E731
    assert multi_step_inverse.loss(config, late, latents(z, actions=actions)).item() == pytest.approx(14 / 3)


def test_every_distance_counts_alike_however_many_frames_it_fits():
    # Nothing guessed: k = 1 asks for the actions 0 and 1, k = 2 for action 0 alone.
    z, actions = walk(3)
    nothing = lambda x: torch.zeros(*x.shape[:-1], 1)  # noqa: E731
    batch = latents(z, actions=actions + 1)
    assert multi_step_inverse.loss(multi_step_inverse.Config(k_max=2), nothing, batch).item() == ((1 + 4) / 2 + 1) / 2


def test_the_head_is_told_the_distance():
    z, actions = walk(5)
    told = lambda x: x[..., 2:] @ torch.tensor([[1.0], [2.0], [3.0]])  # noqa: E731
    batch = latents(z, actions=torch.zeros_like(actions))
    assert multi_step_inverse.loss(multi_step_inverse.Config(k_max=3), told, batch).item() == pytest.approx(14 / 3)


def test_a_single_distance_is_the_inverse_term():
    dims, batch = Dims(latent=8, action=4, image=12), latents(sample(6, 3, 1, 8), actions=sample(6, 2, 4, seed=1))
    plain, config = inverse.head(inverse.Config(), dims), multi_step_inverse.Config(k_max=1)
    head = multi_step_inverse.head(config, dims)
    weights = plain.state_dict()
    weights["0.weight"] = torch.cat([weights["0.weight"], torch.zeros(256, 1)], dim=1)
    head.load_state_dict(weights)
    expected = inverse.loss(inverse.Config(), plain, batch).item()
    assert multi_step_inverse.loss(config, head, batch).item() == pytest.approx(expected, rel=1e-6)
    assert config.clip(1) == 2 and multi_step_inverse.Config(k_max=8).clip(3) == 9


def test_images_are_what_the_encoder_sees(tiny):
    pixels = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    model = WorldModel(tiny(), 2)
    assert torch.allclose(standardised(pixels), (pixels - model.pixel_mean) * model.pixel_scale, atol=1e-5)


def test_reconstruction_is_the_mean_squared_error_of_standardised_pixels():
    config = reconstruction.Config(patch=4, width=8, depth=1)
    head = reconstruction.head(config, Dims(latent=2, action=4, image=8))
    for weights in head.leave[-1].parameters():
        torch.nn.init.zeros_(weights)
    pixels = torch.zeros(2, 3, 3, 8, 8, dtype=torch.uint8)
    pixels[:, :, 0] = 255
    expected = (((1 - MEAN[0]) / STD[0]) ** 2 + (MEAN[1] / STD[1]) ** 2 + (MEAN[2] / STD[2]) ** 2) / 3
    batch = latents(sample(2, 3, 1, 2), pixels=pixels)
    assert reconstruction.loss(config, head, batch).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("image", [12, 10])  # the second is cut from 12
def test_every_query_draws_its_own_patch(image):
    decoder = Decoder(latent=2, image=image, patch=4, width=8, depth=2)
    drawn = decoder(sample(1, 2))
    assert drawn.shape == (1, 3, image, image)
    for row, column in ((0, 0), (5, 2), (9, 3), (2, 9), (9, 9)):
        (gradient,) = torch.autograd.grad(drawn[0, 1, row, column], decoder.queries, retain_graph=True)
        assert gradient.abs().sum(1).nonzero().flatten().tolist() == [row // 4 * 3 + column // 4]


def test_a_patch_is_laid_out_by_channel_row_and_column():
    decoder = Decoder(latent=2, image=6, patch=3, width=8, depth=1)
    torch.nn.init.zeros_(decoder.leave[-1].weight)
    decoder.leave[-1].bias.data = torch.arange(27.0)
    expected = torch.arange(27.0).view(3, 3, 3).tile(1, 2, 2)
    assert torch.equal(decoder(sample(1, 2))[0], expected)


def test_a_decoder_learns_to_draw_two_frames():
    torch.manual_seed(0)
    config = reconstruction.Config(patch=4, width=16, depth=1)
    head = reconstruction.head(config, Dims(latent=2, action=4, image=8))
    pixels = torch.randint(0, 256, (1, 2, 3, 8, 8)).to(torch.uint8)
    batch = latents(torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]]), pixels=pixels)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    before = reconstruction.loss(config, head, batch).item()
    for _ in range(200):
        optimiser.zero_grad()
        loss = reconstruction.loss(config, head, batch)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.01 * before


def straightness(*frames):
    return straightening.statistic(torch.tensor([frames], dtype=torch.float64)).item()


def test_straightening_is_zero_on_a_line_one_at_a_right_angle_and_two_going_back():
    assert straightness([0.0, 0.0], [1.0, 1.0], [5.0, 5.0]) == pytest.approx(0, abs=1e-12)  # at any speed
    assert straightness([0.0, 0.0], [1.0, 0.0], [1.0, 3.0]) == pytest.approx(1, abs=1e-12)
    assert straightness([0.0, 0.0], [1.0, 0.0], [0.0, 0.0]) == pytest.approx(2, abs=1e-12)
    # Two angles of 45 degrees and one of 90.
    bent = straightness([0.0, 0.0], [1.0, 0.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0])
    assert bent == pytest.approx(1 - 2 / 3 * 0.5**0.5, abs=1e-12)


def test_straightening_asks_for_three_frames():
    assert straightening.Config().clip(1) == straightening.Config().clip(3) == 3


def test_straightening_knows_no_place_size_or_direction_of_time():
    z = sample(8, 5, 6).double()
    value = straightening.statistic(z).item()
    for same in (z + sample(6, seed=1).double(), 7 * z, z.flip(1), z.flip(2)):
        assert straightening.statistic(same).item() == pytest.approx(value, rel=1e-9)


def test_a_frame_that_repeats_has_no_direction_and_no_gradient_without_bound():
    z = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]], requires_grad=True)
    loss = straightening.statistic(z)
    loss.backward()
    assert loss.item() == 1
    assert z.grad.abs().max() <= 1 / straightening.SHORTEST
