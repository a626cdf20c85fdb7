"""local: two CPU cores and minutes. 64 px, a conv encoder, and sizes that are ours (the papers' cost hours here)."""

from __future__ import annotations

from typing import Any

import envs

SIZES: dict[str, dict[str, Any]] = {
    "encoder.conv": {"channels": 32, "features": 128},
    "encoder.vit": {"patch": 8, "width": 64, "depth": 4, "heads": 4},
    "encoder.resnet18": {"width": 16},
    "encoder.dinov2": {"side": 42},  # nine patches: at 56 px a trial plans for four minutes
    "predictor.size": {
        "tiny": {"width": 32, "depth": 1, "heads": 2, "head_dim": 16, "mlp": 64},
        "small": {"width": 64, "depth": 2, "heads": 4, "head_dim": 16, "mlp": 256},
        "base": {"width": 128, "depth": 3, "heads": 8, "head_dim": 16, "mlp": 256},
    },
    "predictor.patch.size": {
        "tiny": {"width": 64, "depth": 1, "heads": 4, "head_dim": 16, "mlp": 128},
        "small": {"width": 128, "depth": 2, "heads": 4, "head_dim": 16, "mlp": 256},
        "base": {"width": 192, "depth": 3, "heads": 8, "head_dim": 16, "mlp": 384},
    },
    # Ours: after so few steps the published weight, 0.09, leaves planning at 60 % of TwoRoom's tasks (LOG.md).
    "terms.sigreg": {"projections": 128, "weight": 0.01},
    "terms.reconstruction": {"patch": 8, "width": 64, "depth": 2},
    # Ours likewise: a thirtieth of the published weights, which plan 58 % of TwoRoom's tasks (LOG.md), and short clips.
    "method.pldm": {
        "terms.variance.weight": 0.6,
        "terms.covariance.weight": 0.4,
        "terms.time_similarity.weight": 0.0067,
        "terms.time_variance.weight": 0.023,
        "terms.time_variance.frames": 2,
    },
    "method.pldm_original": {"terms.unrolled_forward.steps": 3, "terms.time_variance.frames": 4},
}

# What a world needs beside, by path (LOG.md says how it was found). Torques act on velocities, which one frame
# does not show; Cube is slow to record.
WORLDS: dict[str, dict[str, Any]] = {
    "push_t": {"data.episodes": 1000, "optim.steps": 2000},
    "reacher": {"data.episodes": 1000, "data.image_size": 32, "optim.steps": 2600, "history": 3},
    "cube": {"data.episodes": 300, "data.held_out": 50, "optim.steps": 2000},
}


def settings(world: str) -> dict[str, Any]:
    """Every setting but the method's."""
    spec = envs.load(world)
    found = {
        "data": {"world": world, "image_size": 64, "episodes": 400, "held_out": 100, "steps": spec.episode_steps},
        "frameskip": spec.frameskip,
        "encoder": {"name": "conv", **SIZES["encoder.conv"]},
        "projector": {"dim": 64, "width": 256},
        "action_width": 64,
        "predictor": {"name": "adaln", "size": "small", **SIZES["predictor.size"]["small"]},
        "optim": {"steps": 1000, "batch": 128, "lr": 1e-3},
        "planner": {"name": "cem", "samples": 128, "iterations": 10, "elites": 16, "horizon": 5, "receding": 5},
        "protocol": {"tasks": 100, "offset": spec.goal_offset, "budget": spec.budget},
        "measures": {"success_rate": {}, "probe_r2": {}, "latent_spectrum": {}, "rollout_error": {}},
    }
    for path, value in WORLDS.get(world, {}).items():
        *above, name = path.split(".")
        here = found
        for key in above:
            here = here[key]
        here[name] = value
    return found
