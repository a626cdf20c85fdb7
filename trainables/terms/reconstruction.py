"""Reconstruction: a decoder draws the frame that the latent was encoded from (LeWM's ablation, arXiv:2603.19312).

    mean |decoder(z_t) - image_t|^2

over all frames and pixels. Images are what the encoder sees: channels standardised by ImageNet's mean and deviation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from trainables.terms._latents import Dims, Latents


class Config(Settings):
    """Sizes of the decoder that LeWM's author gives; what the ablation weighed it with is not published."""

    pixels: ClassVar[bool] = True  # the term needs the frames themselves
    name: Literal["reconstruction"] = "reconstruction"
    weight: float = Field(default=1.0, ge=0)  # ours
    patch: int = Field(default=16, ge=1)  # px that a query draws; what hangs over the edge of the image is cut off
    width: int = Field(default=256, ge=1)  # of queries; four times as many hidden units
    depth: int = Field(default=3, ge=1)  # blocks


def head(config: Config, dims: Dims) -> nn.Module:
    """The decoder: (N, P D) -> (N, 3, Hpx, Wpx)."""
    from trainables.terms._decoder import Decoder

    return Decoder(dims.latent, dims.image, config.patch, config.width, config.depth)


def loss(config: Config, head: nn.Module, batch: Latents) -> Tensor:
    """Mean squared error, in units of ImageNet's variance per channel."""
    from trainables.terms._decoder import standardised

    return (head(batch.z.flatten(0, 1).flatten(1)) - standardised(batch.pixels.flatten(0, 1))).square().mean()
