"""The objective: a weighted sum of named terms, each a file in `trainables/terms/`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainables import collective, plugins, streams
from trainables.config import TrialConfig
from trainables.model import WorldModel
from trainables.terms._latents import Latents


class Objective(nn.Module):
    """The terms of a model: a module, so that DistributedDataParallel can be put around it."""

    def __init__(self, model: WorldModel, config: TrialConfig):
        super().__init__()
        self.model, self.config = model, config

    def forward(self, frames: Tensor, actions: Tensor, step: int) -> dict[str, Tensor]:
        """Unweighted terms of one batch: frames as `WorldModel.encode` takes them, raw action blocks (B, T - 1, A).

        A term of weight zero is reported but not trained on.
        """
        batch = self._latents(self.model.encode(frames), frames if frames.dtype == torch.uint8 else None, actions, step)
        return {name: self._term(name, batch) for name in sorted(self.config.terms)}

    def _term(self, name: str, batch: Latents) -> Tensor:
        term = self.config.terms[name]
        value = plugins.load("terms", name).loss(term, dict(self.model.heads.items()).get(name), batch)
        return value if term.weight else value.detach()

    def _latents(self, z: Tensor, pixels: Tensor | None, actions: Tensor, step: int) -> Latents:
        model, first, blocks = self.model, self.config.history, self.model.normaliser(actions)

        def unroll(steps: int) -> Tensor:
            plan = blocks[:, None, first - 1 : first - 1 + steps]
            return _wide(model.rollout(z[:, :first], plan, blocks[:, : first - 1])[:, 0])

        return Latents(
            z=_wide(z),
            predicted=_wide(model.predict(z[:, :-1], blocks)),
            actions=blocks,
            pixels=pixels,
            history=first,
            unroll=unroll,
            generator=streams.generator(self.config.seed, "terms", step),
            mean=collective.batch_mean,
            workers=collective.workers(),
        )


def total(config: TrialConfig, terms: Mapping[str, Tensor]) -> Tensor:
    """The weighted sum of those that have a weight."""
    return sum(config.terms[name].weight * value for name, value in terms.items() if config.terms[name].weight)


def _wide(x: Tensor) -> Tensor:
    """At least single precision: what autocast halves is too coarse for squared errors and cosines."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
