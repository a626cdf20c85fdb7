"""Vision transformer from timm, trained from scratch; its class token is the global latent (published: ViT-Tiny/14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import nn


class Config(Settings):
    """Defaults are ViT-Tiny with patch 14: 5,501,376 parameters at 224 px (arXiv:2603.19312)."""

    name: Literal["vit"] = "vit"
    patch: int = Field(default=14, ge=2)  # px
    width: int = Field(default=192, ge=1)  # F
    depth: int = Field(default=12, ge=1)
    heads: int = Field(default=3, ge=1)

    @property
    def features(self) -> int:
        """F."""
        return self.width

    @model_validator(mode="after")
    def _divides(self) -> Config:
        if self.width % self.heads:
            raise ValueError(f"width={self.width} does not divide among heads={self.heads}")
        return self


def build(config: Config, image_size: int) -> nn.Module:
    """A network (N, 3, H, W) -> (N, 1, F); the image side must be a multiple of the patch."""
    from timm.models.vision_transformer import VisionTransformer
    from torch import nn

    vit = VisionTransformer(
        img_size=image_size,
        patch_size=config.patch,
        embed_dim=config.width,
        depth=config.depth,
        num_heads=config.heads,
        num_classes=0,
        global_pool="token",
    )
    net = nn.Sequential(vit, nn.Unflatten(1, (1, -1)))
    net.features, net.patches = config.width, 1
    return net
