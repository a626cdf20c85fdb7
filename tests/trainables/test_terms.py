"""What holds for every term, and those of the published methods SMWM and LeWM against hand-computed values."""

import math

import pytest
import torch

from envs._episodes import Clips, Episodes
from tests.trainables._batches import drawn, latents, sample, side_by_side
from trainables import plugins, training
from trainables.paths import assign
from trainables.terms import forward, inverse, sigreg
from trainables.terms._latents import Dims

DIMS = Dims(latent=8, action=4, image=12)


@pytest.fixture(params=plugins.names("terms"))
def whole(request):
    """A term's module, its default config, its head, and a batch as long as it asks for."""
    term, config = plugins.load("terms", request.param), plugins.load("terms", request.param).Config()
    torch.manual_seed(0)
    return term, config, term.head(config, DIMS), drawn(max(3, config.clip(1) if hasattr(config, "clip") else 2) - 1)


def test_every_term_is_a_finite_scalar_whose_gradient_reaches_the_latent_and_all_of_its_head(whole):
    term, config, head, parts = whole
    trained = [parts["z"].requires_grad_(), *(head.parameters() if head else ())]
    loss = term.loss(config, head, latents(**parts))
    assert loss.shape == () and math.isfinite(loss.item())
    assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(loss, trained))
    assert term.__name__.endswith(f".{config.name}") and config.weight >= 0


def test_the_order_of_the_rows_does_not_matter_to_any_term(whole):
    term, config, head, parts = whole
    turned = {name: part.flip(0) for name, part in parts.items()}
    one, other = (term.loss(config, head, latents(**batch)).item() for batch in (parts, turned))
    assert other == pytest.approx(one, rel=1e-4)


def test_two_workers_with_half_the_rows_each_give_every_terms_value_and_gradient(whole):
    term, config, head, parts = whole
    parts = {name: part.double() if part.is_floating_point() else part for name, part in parts.items()}
    head = head.double() if head else None

    def halved(mean, rows):
        return term.loss(config, head, latents(**{k: v[rows] for k, v in parts.items()}, mean=mean, workers=2))

    z = parts["z"].requires_grad_()
    alone = term.loss(config, head, latents(**parts))
    shared = torch.stack(side_by_side(halved, [slice(0, None, 2), slice(1, None, 2)])).mean()
    assert shared.item() == pytest.approx(alone.item(), rel=1e-9)
    one, two = (torch.autograd.grad(loss, z)[0] for loss in (alone, shared))
    assert (one - two).abs().max() <= 1e-9 * one.abs().max()


@pytest.mark.parametrize("name", plugins.names("terms"))
def test_every_term_joins_an_objective_by_its_path_and_trains(name, tiny, data):
    config = assign(tiny("smwm", data__steps=100), f"terms.{name}.weight", 0.5)
    found = data(config)
    run = training.Run(
        config, Clips(Episodes(found["train"]), config.clip, config.frameskip), Episodes(found["validation"])
    )
    assert [run.advance() for _ in range(3)] == ["ok"] * 3
    assert len(set(run.history[f"loss/{name}"])) == 3


def test_forward_is_the_mean_squared_error_with_gradients_into_the_target_too():
    z = torch.tensor([[[[1.0, 2.0]], [[4.0, 0.0]]]], requires_grad=True)
    predicted = torch.tensor([[[[3.0, 2.0]]]], requires_grad=True)
    loss = forward.loss(forward.Config(), None, latents(z, predicted))
    assert loss.item() == ((3 - 4) ** 2 + (2 - 0) ** 2) / 2
    loss.backward()
    assert z.grad[0, 1, 0].tolist() == [1.0, -2.0]  # -2 (predicted - target) / 2
    assert predicted.grad[0, 0, 0].tolist() == [-1.0, 2.0]


def test_inverse_is_the_mean_squared_error_of_the_action():
    head = inverse.head(inverse.Config(width=8), Dims(latent=2, action=4, image=12))
    torch.nn.init.zeros_(head[-1].weight)
    torch.nn.init.constant_(head[-1].bias, 0.5)
    actions = torch.tensor([0.5, 0.5, 1.5, -0.5]).expand(3, 1, 4)
    assert inverse.loss(inverse.Config(), head, latents(sample(3, 2, 1, 2), actions=actions)).item() == 0.5


def test_sigreg_is_about_one_for_a_standard_normal_batch():
    # E (mean cos - phi)^2 + E (mean sin)^2 = (1 - phi^2) / B: the mean is the integral of w (1 - phi^2) over [-3, 3],
    # sqrt(2 pi) - sqrt(2 pi / 3) = 1.06, less the tails beyond 3.
    values = [sigreg.loss(sigreg.Config(), None, latents(sample(256, 1, 1, 32, seed=s), seed=s)) for s in range(20)]
    assert torch.stack(values).mean().item() == pytest.approx(1.0, abs=0.1)


def test_sigreg_of_a_constant_batch_is_what_the_formula_gives():
    # cos = 1 and sin = 0 at every knot: B * sum_t w_t (1 - exp(-t^2 / 2))^2 by the trapezoid rule on [-3, 3].
    t = torch.linspace(-3, 3, 33, dtype=torch.float64)
    value = (1 - torch.exp(-(t**2) / 2)) ** 2 * torch.exp(-(t**2) / 2)
    expected = 256 * torch.trapezoid(value, t).item()
    loss = sigreg.loss(sigreg.Config(), None, latents(torch.zeros(256, 2, 1, 16)))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert expected == pytest.approx(103, abs=1)


def test_sigreg_notices_shift_and_scale_but_not_the_order_of_rows():
    z = sample(256, 1, 1, 16)
    value = sigreg.loss(sigreg.Config(), None, latents(z)).item()
    assert sigreg.loss(sigreg.Config(), None, latents(z.flip(0))).item() == pytest.approx(value, rel=1e-4)
    for worse in (z + 1, 2 * z, z / 3):
        assert sigreg.loss(sigreg.Config(), None, latents(worse)).item() > 3 * value


@pytest.mark.parametrize("name", ["sigreg", "variance", "covariance", "time_variance", "straightening"])
def test_statistics_are_not_blurred_where_networks_run_in_half_precision(name):
    term, z = plugins.load("terms", name), sample(64, 4, 1, 16)
    plain = term.loss(term.Config(), None, latents(z))
    with torch.autocast("cpu", torch.bfloat16):
        assert term.loss(term.Config(), None, latents(z)).item() == plain.item()


def test_sigreg_draws_its_directions_from_the_given_generator():
    z = sample(64, 1, 1, 16)
    one, again, other = (sigreg.loss(sigreg.Config(), None, latents(z, seed=s)).item() for s in (1, 1, 2))
    assert one == again != other
