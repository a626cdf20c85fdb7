"""The decoder of `reconstruction`: one learned query per patch of the image attends to the latent (LeWM, appendix D).

N images, Q queries, W wide. The latent is the one key and value, so attention's weight is one whatever the query and
the key: what is left of cross-attention is a linear map of the latent, and there are no heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.model import MEAN, STD


class Block(nn.Module):
    """x <- LN(x + A m),  x <- LN(x + MLP(x)) for queries x (N, Q, W) and the latent m (N, 1, W)."""

    def __init__(self, width: int):
        super().__init__()
        self.value, self.norm_1, self.norm_2 = nn.Linear(width, width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        x = self.norm_1(x + self.value(latent))
        return self.norm_2(x + self.mlp(x))


class Decoder(nn.Module):
    """Latents (N, `latent`) -> images (N, 3, `image`, `image`); patches cover it, those at its end cut to size."""

    def __init__(self, latent: int, image: int, patch: int, width: int, depth: int):
        super().__init__()
        self.image, self.patch, self.side = image, patch, -(-image // patch)
        self.enter = nn.Sequential(nn.Linear(latent, width), nn.LayerNorm(width), nn.GELU())
        self.queries = nn.Parameter(0.02 * torch.randn(self.side**2, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * patch**2))

    def forward(self, z: Tensor) -> Tensor:
        latent, x = self.enter(z).unsqueeze(1), self.queries
        for block in self.blocks:
            x = block(x, latent)
        patches = self.leave(x).unflatten(1, (self.side, self.side)).unflatten(-1, (3, self.patch, self.patch))
        rows = patches.permute(0, 3, 1, 4, 2, 5)  # (N, 3, side, patch, side, patch)
        return rows.flatten(4).flatten(2, 3)[..., : self.image, : self.image]


def standardised(pixels: Tensor) -> Tensor:
    """Images (N, 3, Hpx, Wpx) uint8 in the units of the encoder's input."""
    mean, std = (pixels.new_tensor(values, dtype=torch.float32).view(3, 1, 1) for values in (MEAN, STD))
    return (pixels / 255 - mean) / std
