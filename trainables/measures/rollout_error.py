"""Open-loop prediction error: encode the first frames of a test clip, roll the predictor out under the recorded
actions and compare with the encoded frames, as a share of the latent's variance (0 perfect, about 1 the mean)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.measures._value import Value
from trainables.settings import ROLLOUT_BLOCKS, Settings

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.config import TrialConfig
    from trainables.measures._trained import Map, Measured, Trained

VERSION = 1
USES = ()
VALUES = {f"rollout_error_{step}": Value("of variance", False, least=0.0) for step in range(1, ROLLOUT_BLOCKS + 1)}


class Config(Settings):
    name: Literal["rollout_error"] = "rollout_error"
    clips: int = Field(default=500, ge=10)  # test clips
    seed: int = Field(default=0, ge=0)  # which clips


def measure(trained: Trained, config: TrialConfig, map: Map) -> Measured:
    """`rollout_error_1` to `rollout_error_5`; a latent without variance counts as 1, no better than the mean."""
    import numpy as np
    import torch

    from envs._episodes import Clips
    from trainables import streams, training
    from trainables.measures._trained import Measured, sample_rows

    setting = config.measures["rollout_error"]
    clips = Clips(trained.episodes("test"), config.history + ROLLOUT_BLOCKS, config.frameskip)
    index = sample_rows(len(clips), setting.clips, streams.rng(setting.seed, "rollout"))
    with torch.inference_mode():
        parts = [
            _squared_error(trained, config, *clips.gather(part), training.frames)
            for part in np.array_split(index, max(1, len(index) // 100))
        ]
    error, z = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    variance = z.flatten(0, 1).var(0).mean().item()
    errors = [error[:, step].mean().item() / variance if variance > 0 else 1.0 for step in range(ROLLOUT_BLOCKS)]
    return Measured({f"rollout_error_{step + 1}": value for step, value in enumerate(errors)})


def _squared_error(trained: Trained, config: TrialConfig, pixels, actions, frames) -> tuple[Tensor, Tensor]:
    """Squared errors (B, ROLLOUT_BLOCKS) and the encoded frames (B, T, P D) of some clips."""
    import torch

    model, first = trained.model, config.history
    device = model.pixel_mean.device
    z = model.encode(frames(pixels, device))
    blocks = model.normaliser(torch.from_numpy(actions).to(device))
    past, plan = blocks[:, : first - 1], blocks[:, first - 1 :].unsqueeze(1)
    predicted = model.rollout(z[:, :first], plan, past)[:, 0]
    error = (predicted - z[:, first:]).square().flatten(2).mean(-1)
    return error.double().cpu(), z.flatten(2).double().cpu()
