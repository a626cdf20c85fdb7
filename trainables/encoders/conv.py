"""A small strided convolution network, the encoder that a CPU can train in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import nn


class Config(Settings):
    """A stem of stride 4 (overlapping patches), two convolutions of stride 2; sizes are ours (the papers use ViT)."""

    name: Literal["conv"] = "conv"
    channels: int = Field(default=32, ge=1)  # of the stem; the other two have twice as many
    features: int = Field(default=128, ge=1)  # F


def build(config: Config, image_size: int) -> nn.Module:
    """A network (N, 3, H, W) -> (N, 1, F)."""
    from torch import nn

    stem, wide, side = config.channels, 2 * config.channels, -(-image_size // 16)
    net = nn.Sequential(
        nn.Conv2d(3, stem, 7, stride=4, padding=3),
        nn.ReLU(inplace=True),
        nn.Conv2d(stem, wide, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(wide, wide, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(wide * side**2, config.features),
        nn.Unflatten(1, (1, -1)),
    )
    net.features, net.patches = config.features, 1
    return net
