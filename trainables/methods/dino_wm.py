"""DINO-WM: L = L_forward on the patch features of a frozen DINOv2 (arXiv:2411.04983), as SMWM compares with it.

The latent is the features themselves: no projector, nothing that could collapse. One frame of history and no
proprioception, as in that comparison (arXiv:2606.20104); the rate is DINO-WM's. Unlike there, an action block of A
numbers goes through LeWM's action encoder, A -> 10 -> 40 -> 10, where DINO-WM has one convolution; weight decay and
the cosine schedule are the other methods'.
"""

from __future__ import annotations

from typing import Any

from trainables.encoders.dinov2 import WIDTH


def settings(world: str) -> dict[str, Any]:
    """Objective, encoder, predictor and how the action reaches it, the same in every world."""
    return {
        "terms": {"forward": {}},
        "encoder": {"name": "dinov2"},
        "projector": {"dim": WIDTH, "width": WIDTH, "identity": True},
        "predictor": {"name": "patch", "size": "small"},
        "action_width": 10,
        "optim.lr": 5e-4,
    }
