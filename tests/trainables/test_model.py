"""Parameter counts as published, causality, and a rollout that is prediction fed back."""

import pytest
import torch

from trainables import plugins
from trainables.model import WorldModel
from trainables.paths import assign_all, base_config


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def pixels(batch=4, time=3, size=32):
    return torch.randint(0, 256, (batch, time, 3, size, size), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )


def ready(config):
    torch.manual_seed(0)
    model = WorldModel(config, 2).eval()
    for name, weights in model.predictor.named_parameters():  # AdaLN-zero starts as the identity: wake it up
        if "modulation" in name:
            torch.nn.init.normal_(weights, std=0.2 if name.endswith("weight") else 0.5)
    return model


def test_the_paper_recipe_has_the_published_number_of_parameters():
    model = WorldModel(base_config("smwm", "two_room", "paper"), 2)  # an action block of 5 x 2
    assert count(model.encoder) == 5_501_376
    assert count(model.projector) == count(model.prediction_projector) == 792_768
    assert count(model.action_encoder) == 156_206
    assert count(model.predictor) == 10_790_976
    assert count(model.heads["inverse"]) == 166_922
    assert count(model) == 18_201_016


@pytest.mark.parametrize("name", plugins.names("encoders"))
def test_every_encoder_gives_features_by_patch(name):
    random = {"encoder.weights": "random"} if name == "dinov2" else {}
    config = assign_all(base_config("smwm", "two_room", "local"), {"encoder": name, **random})
    size = config.data.image_size
    encoder = plugins.load("encoders", name).build(config.encoder, size)
    features = encoder(torch.rand(2, 3, size, size))
    assert features.shape == (2, encoder.patches, encoder.features) and encoder.features == config.encoder.features
    features.square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize("name", plugins.names("predictors"))
def test_every_predictor_is_causal_and_heeds_its_conditioning(name, tiny):
    model = ready(tiny("smwm", history=3, predictor=name))
    z, actions = torch.randn(2, 3, 1, 16), torch.randn(2, 3, 10)
    before = model.predict(z, actions)
    assert before.shape == z.shape
    later = z.clone()
    later[:, 2] += 1
    assert torch.equal(model.predict(later, actions)[:, :2], before[:, :2])
    other = actions.clone()
    other[:, 0] += 1
    assert (model.predict(z, other)[:, 0] - before[:, 0]).abs().max() > 1e-4


@pytest.mark.parametrize("name", plugins.names("predictors"))
@pytest.mark.parametrize("history", [1, 2, 4])
def test_a_prediction_along_a_longer_clip_sees_the_last_frames_of_the_history_alone(history, name, tiny):
    model = ready(tiny("smwm", history=history, predictor=name, protocol__earlier_rows=15))
    z, actions = torch.randn(3, 5, 1, 16), torch.randn(3, 5, 10)
    found = model.predict(z, actions)
    assert found.shape == z.shape
    for step in range(5):
        window = slice(max(0, step + 1 - history), step + 1)
        assert torch.allclose(found[:, step], model.predict(z[:, window], actions[:, window])[:, -1], atol=1e-5)


@pytest.mark.parametrize("name", plugins.names("predictors"))
@pytest.mark.parametrize("history", [1, 2, 3])
def test_a_rollout_is_prediction_fed_back(history, name, tiny):
    model = ready(tiny("smwm", history=history, predictor=name))
    z, past = torch.randn(2, history, 1, 16), torch.randn(2, history - 1, 10)
    plans = torch.randn(2, 4, 5, 10)
    rolled = model.rollout(z, plans, past)
    assert rolled.shape == (2, 4, 5, 1, 16)
    latents, actions = z[1:], torch.cat([past[1], plans[1, 2]])[None]
    for step in range(5):
        window = model.predict(latents[:, -history:], actions[:, step : step + history])
        latents = torch.cat([latents, window[:, -1:]], dim=1)
    assert torch.allclose(rolled[1, 2], latents[0, history:], atol=1e-5)


def test_one_token_needs_no_attention_weights_and_gives_what_attention_gives(tiny):
    attention = ready(tiny("smwm", predictor__dropout=0.0)).predictor.blocks[0].attention
    x = torch.randn(5, 1, 32)
    q, k, v = attention.qkv(attention.norm(x)).unflatten(-1, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    assert torch.allclose(attention(x), attention.out(mixed), atol=1e-6)


def test_encoding_many_frames_in_parts_changes_nothing(tiny):
    model = ready(tiny("smwm"))
    many = pixels(batch=300, time=2)
    with torch.inference_mode():
        assert torch.allclose(model.encode(many)[-1], model.encode(many[-1:])[0], atol=1e-5)


def test_a_model_without_inverse_head_says_so(tiny):
    with pytest.raises(ValueError, match="inverse"):
        ready(tiny("lewm")).infer_action(torch.zeros(1, 1, 16), torch.zeros(1, 1, 16))


def test_actions_are_normalised_and_restored(tiny):
    from trainables.model import Normaliser

    normaliser = Normaliser(torch.tensor([1.0, -2.0]), torch.tensor([2.0, 0.5]))
    assert normaliser(torch.tensor([3.0, -2.5])).tolist() == [1.0, -1.0]
    assert normaliser.undo(normaliser(torch.tensor([0.3, 0.7]))).tolist() == pytest.approx([0.3, 0.7])
