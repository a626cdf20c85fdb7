"""Causal transformer conditioned on the action by AdaLN-zero (LeWM, arXiv:2603.19312, section 3).

x <- x + gate_1 * Attention(scale_1 * LN(x) + shift_1),   x <- x + gate_2 * MLP(scale_2 * LN(x) + shift_2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import nn


class Config(Settings):
    """At width 192, depth 6, 16 heads of 64, MLP 2048 and history 1: 10,790,976 parameters, as published."""

    name: Literal["adaln"] = "adaln"
    size: str  # tiny, small or base: what the scale's file says the rest is; custom when it is something else
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    mlp: int = Field(ge=1)  # hidden units
    dropout: float = Field(default=0.1, ge=0, lt=1)  # in attention and MLP (LeWM, Table 5)


def build(config: Config, dim: int, condition: int, history: int, patches: int) -> nn.Module:
    """The network for latents of size `dim` = D under conditioning of size `condition` = E; each patch for itself."""
    from trainables.predictors._blocks import AdaLNTransformer

    return AdaLNTransformer(config, dim, condition, history)
