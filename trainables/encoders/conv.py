"""A small strided convolution network, the encoder that a CPU can train in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import nn


class Config(Settings):
    """Four convolutions of stride 2, then a linear layer; sizes are ours (the papers use ViT)."""

    name: Literal["conv"] = "conv"
    channels: int = Field(default=16, ge=1)  # of the first layer; doubled up to four times that
    features: int = Field(default=128, ge=1)  # F


def build(config: Config, image_size: int) -> nn.Module:
    """A network (N, 3, H, W) -> (N, 1, F)."""
    from torch import nn

    widths = [3] + [config.channels * factor for factor in (1, 2, 4, 4)]
    layers: list[nn.Module] = []
    for inner, outer in zip(widths, widths[1:], strict=False):
        layers += [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.ReLU()]
    side = -(-image_size // 16)
    net = nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(widths[-1] * side**2, config.features), nn.Unflatten(1, (1, -1))
    )
    net.features, net.patches = config.features, 1
    return net
