"""gpu: one GPU and about ten minutes a trial. 64 px, a small ViT; sizes are ours, ratios follow the papers."""

from __future__ import annotations

from typing import Any

import envs

SIZES: dict[str, dict[str, Any]] = {
    "encoder.conv": {"channels": 64, "features": 256},
    "encoder.vit": {"patch": 8, "width": 192, "depth": 6, "heads": 3},
    "encoder.resnet18": {"width": 64},
    "encoder.dinov2": {"side": 196},
    "predictor.size": {
        "tiny": {"width": 192, "depth": 2, "heads": 4, "head_dim": 64, "mlp": 512},
        "small": {"width": 192, "depth": 6, "heads": 16, "head_dim": 64, "mlp": 2048},
        "base": {"width": 384, "depth": 6, "heads": 16, "head_dim": 64, "mlp": 2048},
    },
    # DINO-WM's is "small"; the other two are ours.
    "predictor.patch.size": {
        "tiny": {"width": 394, "depth": 2, "heads": 4, "head_dim": 64, "mlp": 512},
        "small": {"width": 394, "depth": 6, "heads": 16, "head_dim": 64, "mlp": 2048},
        "base": {"width": 768, "depth": 6, "heads": 16, "head_dim": 64, "mlp": 2048},
    },
}


def settings(world: str) -> dict[str, Any]:
    """Every setting but the method's."""
    spec = envs.load(world)
    return {
        "data": {"world": world, "image_size": 64, "episodes": 2000, "held_out": 200, "steps": spec.episode_steps},
        "frameskip": spec.frameskip,
        "encoder": {"name": "vit", **SIZES["encoder.vit"]},
        "projector": {"dim": 192, "width": 2048},
        "predictor": {"name": "adaln", "size": "small", **SIZES["predictor.size"]["small"]},
        "optim": {"steps": 8000, "batch": 256, "lr": 3e-4},
        "precision": "bf16",
        "threads": 4,
        "executor": "train",
        "planner": {"name": "cem"},
        "protocol": {"tasks": 200, "offset": spec.goal_offset, "budget": spec.budget, "chunk": 50},
        "measures": {"success_rate": {}, "probe_r2": {}, "latent_spectrum": {}, "rollout_error": {}},
    }
