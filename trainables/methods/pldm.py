"""PLDM as LeWM compares itself with it: variance and covariance of every frame, and no inverse model (arXiv:2603.19312,
Table 2, found there by a grid of 256 on Push-T; PLDM itself: arXiv:2502.14819)."""

from __future__ import annotations

from typing import Any


def settings(world: str) -> dict[str, Any]:
    """The objective with the published weights, the same in every world; time covariance has weight zero there."""
    return {
        "terms": {
            "forward": {},
            "variance": {"weight": 18.0},
            "covariance": {"weight": 12.0},
            "time_similarity": {"weight": 0.2},
            "time_variance": {"weight": 0.7},
        }
    }
