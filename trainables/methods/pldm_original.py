"""PLDM as published (arXiv:2502.14819): open-loop prediction, variance and covariance of the first frame, and an
inverse model. Weights are those of its Wall world with 325 k transitions.

What is not its own here: encoder and predictor are those of the other methods, time goes in action blocks, and the
inverse model has two hidden layers of 512 where PLDM's has one.
"""

from __future__ import annotations

from typing import Any


def settings(world: str) -> dict[str, Any]:
    """The objective with the published weights, the same in every world; time covariance has weight zero there."""
    return {
        "terms": {
            "unrolled_forward": {"weight": 1.0, "steps": 15},
            "variance": {"weight": 3.9843, "steps": "first"},
            "covariance": {"weight": 6.9238, "steps": "first"},
            "time_similarity": {"weight": 0.74242},
            "time_variance": {"weight": 0.24535, "frames": 16, "skip": 1, "batch_centred": False},
            "inverse": {"weight": 1.072, "width": 512},
        }
    }
