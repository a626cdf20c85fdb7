"""Layers of the predictors' transformers. N = B x P sequences of T tokens, where each patch is predicted for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from trainables.predictors.adaln import Config


class Attention(nn.Module):
    """Multi-head self-attention with a norm of its own, (N, T, W) -> (N, T, W)."""

    def __init__(self, width: int, heads: int, head_dim: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, width)

    def forward(self, x: Tensor, causal: bool = True, mask: Tensor | None = None) -> Tensor:
        """Causal, or each token to those that `mask` (T, T) has it see, or each one to all."""
        x = self.norm(x)
        if x.shape[1] == 1 and not (self.training and self.dropout):
            # One token attends to itself with weight one: only its value is needed.
            return self.out(F.linear(x, self.qkv.weight[-self.out.in_features :]))
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        drop = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=drop, is_causal=causal)
        return F.dropout(self.out(mixed.transpose(1, 2).flatten(2)), drop, self.training)


def feed_forward(width: int, hidden: int, dropout: float) -> nn.Module:
    """The other half of a block, (..., W) -> (..., W), with a norm of its own."""
    drop = nn.Dropout(dropout)
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), drop, nn.Linear(hidden, width), drop)


class Block(nn.Module):
    """One AdaLN-zero block: starts as the identity, since its modulation starts at zero."""

    def __init__(self, config: Config, condition: int):
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attention = Attention(width, config.heads, config.head_dim, config.dropout)
        self.mlp = feed_forward(width, config.mlp, config.dropout)
        self.modulation = nn.Linear(condition, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.modulation(F.silu(condition)).chunk(6, dim=-1)
        x = x + gate_1 * self.attention(self.norm(x) * (1 + scale_1) + shift_1)
        return x + gate_2 * self.mlp(self.norm(x) * (1 + scale_2) + shift_2)


class AdaLNTransformer(nn.Module):
    """(B, T, P, D) latents under (B, T, E) conditioning -> (B, T, P, D); T at most `history`."""

    def __init__(self, config: Config, dim: int, condition: int, history: int):
        super().__init__()
        same = dim == config.width  # as published; otherwise the latent is mapped to the width and back
        self.enter = nn.Identity() if same else nn.Linear(dim, config.width)
        self.leave = nn.Identity() if same else nn.Linear(config.width, dim)
        self.position = nn.Parameter(torch.randn(1, history, config.width))
        self.blocks = nn.ModuleList(Block(config, condition) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        batch, time, patches, _ = z.shape
        x = self.enter(z).transpose(1, 2).flatten(0, 1) + self.position[:, :time]
        condition = condition if patches == 1 else condition.repeat_interleave(patches, dim=0)
        for block in self.blocks:
            x = block(x, condition)
        return self.leave(self.norm(x)).unflatten(0, (batch, patches)).transpose(1, 2)
