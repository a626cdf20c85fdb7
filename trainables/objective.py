"""The objective: a weighted sum of named terms, each a file in `trainables/terms/`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from trainables import collective, plugins, streams
from trainables.config import TrialConfig
from trainables.model import WorldModel
from trainables.terms._latents import Latents


def losses(model: WorldModel, config: TrialConfig, pixels: Tensor, actions: Tensor, step: int) -> dict[str, Tensor]:
    """Unweighted terms of one batch: pixels (B, T, C, Hpx, Wpx) uint8, raw action blocks (B, T - 1, A)."""
    z = model.encode(pixels)
    normal = model.normaliser(actions)
    batch = Latents(
        z=_wide(z),
        predicted=_wide(model.predict(z[:, :-1], normal)),
        actions=normal,
        generator=streams.generator(config.seed, "terms", step),
        mean=collective.batch_mean,
        workers=collective.workers(),
    )
    return {name: _term(name).loss(term, _head(model, name), batch) for name, term in sorted(config.terms.items())}


def total(config: TrialConfig, terms: Mapping[str, Tensor]) -> Tensor:
    """The weighted sum; a term of weight zero is reported but not trained on."""
    return sum(config.terms[name].weight * value for name, value in terms.items() if config.terms[name].weight)


def _wide(x: Tensor) -> Tensor:
    """At least single precision: what autocast halves is too coarse for squared errors and cosines."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _term(name: str):
    return plugins.load("terms", name)


def _head(model: WorldModel, name: str) -> torch.nn.Module | None:
    return dict(model.heads.items()).get(name)
