"""The network of `trainables.predictors.patch`: T x P tokens per sequence, a frame's patches one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.predictors._blocks import Attention, feed_forward

if TYPE_CHECKING:
    from trainables.predictors.patch import Config


class Block(nn.Module):
    """Attention and MLP, each with a norm in front and a residual around."""

    def __init__(self, config: Config):
        super().__init__()
        self.attention = Attention(config.width, config.heads, config.head_dim, config.dropout)
        self.mlp = feed_forward(config.width, config.mlp, config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.attention(x, causal=False, mask=mask)
        return x + self.mlp(x)


class PatchTransformer(nn.Module):
    """(B, T, P, D) latents under (B, T, E) conditioning -> (B, T, P, D); T at most `history`."""

    def __init__(self, config: Config, dim: int, condition: int, history: int, patches: int):
        super().__init__()
        token, self.dim = dim + condition, dim
        same = token == config.width  # as published
        self.enter = nn.Identity() if same else nn.Linear(token, config.width)
        self.leave = nn.Identity() if same else nn.Linear(config.width, dim)
        self.position = nn.Parameter(torch.randn(1, history * patches, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.register_buffer("mask", _frame_causal(history, patches), persistent=False)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        time, patches = z.shape[1:3]
        tokens = torch.cat([z, condition.unsqueeze(2).expand(-1, -1, patches, -1)], dim=-1)
        x = self.enter(tokens.flatten(1, 2)) + self.position[:, : time * patches]
        mask = self.mask[: time * patches, : time * patches] if time > 1 else None  # one frame's patches see each other
        for block in self.blocks:
            x = block(x, mask)
        return self.leave(self.norm(x))[..., : self.dim].unflatten(1, (time, patches))


def _frame_causal(history: int, patches: int) -> Tensor:
    """(T P, T P), true where the row's patch may see the column's, of its own frame or an earlier one."""
    frame = torch.arange(history).repeat_interleave(patches)
    return frame[:, None] >= frame[None, :]
