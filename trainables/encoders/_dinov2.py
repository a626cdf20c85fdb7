"""The network of `trainables.encoders.dinov2`."""

from __future__ import annotations

import timm
import torch.nn.functional as F
from torch import Tensor, nn

from trainables import streams
from trainables.encoders import _dinov2_weights
from trainables.encoders.dinov2 import PATCH, RANDOM, WIDTH, Config

ARCHITECTURE, NATIVE = "vit_small_patch14_dinov2", 518  # px that it was trained at


class Dinov2(nn.Module):
    """Normalised images (N, 3, H, W) -> tokens after the last norm, (N, P, 384), the class token's or the patches'."""

    def __init__(self, config: Config):
        super().__init__()
        self.side, self.class_token = config.side, config.tokens == "class"
        self.features, self.patches = WIDTH, 1 if self.class_token else (config.side // PATCH) ** 2
        with streams.seeded(0, "dinov2"):
            self.vit = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0, img_size=NATIVE)
        if config.weights != RANDOM:
            _dinov2_weights.load(self.vit, config)
        self.vit.set_input_size(self.side)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.vit.forward_features(self.resized(images))
        return tokens[:, :1] if self.class_token else tokens[:, 1:]

    def resized(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) of the network's side, without aliasing."""
        sides = (self.side, self.side)
        if images.shape[-2:] == sides:
            return images
        return F.interpolate(images, sides, mode="bilinear", antialias=True, align_corners=False)
