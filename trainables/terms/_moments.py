"""Second moments that the terms of PLDM and VICReg share, and what they make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Steps = Literal["all", "first"]  # frames of a clip that a statistic over the batch is taken of, one by one
EPSILON = 1e-4  # below the root, whose slope has no bound at zero; as published


def seen(z: Tensor, steps: Steps) -> Tensor:
    """z (B, T, P, D) -> (B, T or 1, P x D)."""
    return z.flatten(2)[:, :1] if steps == "first" else z.flatten(2)


def shortfall(variance: Tensor, target: float) -> Tensor:
    """mean max(0, target - sqrt(variance + 1e-4)) over all axes, a scalar in [0, target)."""
    return (target - (variance + EPSILON).sqrt()).clamp(min=0).mean()


def off_diagonal(covariance: Tensor) -> Tensor:
    """Mean square of the D (D - 1) elements beside the diagonal of (..., D, D), averaged over what leads: a scalar."""
    dim = covariance.shape[-1]
    beside = covariance - covariance.diagonal(dim1=-2, dim2=-1).diag_embed()
    return beside.square().mean() * dim / (dim - 1)
