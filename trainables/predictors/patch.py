"""DINO-WM's predictor (arXiv:2411.04983): a transformer over the patches of all frames of the history at once.

A token is a patch's latent with the action's conditioning beside it. It attends to every patch of its own frame and of
earlier ones. What comes out is a residual sum on top of the token, without the conditioning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import nn


class Config(Settings):
    """As published: depth 6, 16 heads of 64, MLP 2048. Width 384 + 10 (the features of DINOv2 and the action's
    conditioning); it is 404 there, with 10 of proprioception, which no model here sees. At another width than that
    sum, tokens are mapped to it and back."""

    name: Literal["patch"] = "patch"
    size: str  # tiny, small or base: what the scale's file says the rest is; custom when it is something else
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    mlp: int = Field(ge=1)  # hidden units
    dropout: float = Field(default=0.1, ge=0, lt=1)  # in attention and MLP


def build(config: Config, dim: int, condition: int, history: int, patches: int) -> nn.Module:
    """The network for `patches` = P latents of size `dim` = D per frame under conditioning of size `condition` = E."""
    from trainables.predictors._patch import PatchTransformer

    return PatchTransformer(config, dim, condition, history, patches)
