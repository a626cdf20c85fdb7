"""The spectrum of the latent's covariance on unseen frames: how many directions carry it, and how much there is at all.

Effective rank = exp of the entropy of the normalised eigenvalues (Roy & Vetterli 2007, of the covariance as in the toy
part of arXiv:2606.20104). It says nothing of collapse by itself: collapsed models show 39 to 71. The variance does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.measures._value import Value
from trainables.settings import Settings

if TYPE_CHECKING:
    import numpy as np

    from trainables.config import TrialConfig
    from trainables.measures._trained import Map, Measured, Trained

VERSION = 1
USES = ()
SHOWN = 10  # leading shares of variance that are reported
VALUES = {
    "effective_rank": Value("directions", True, least=1.0),
    "latent_variance": Value("per dimension", True, least=0.0),
    "variance_kept": Value("of initial", True, least=0.0),
    "knee": Value("directions", True, least=1.0),
    "two_component_share": Value("of variance", True, least=0.0, most=1.0),
}


class Config(Settings):
    name: Literal["latent_spectrum"] = "latent_spectrum"
    frames: int = Field(default=4000, ge=10)  # test frames
    seed: int = Field(default=0, ge=0)  # which frames


def measure(trained: Trained, config: TrialConfig, map: Map) -> Measured:
    """Effective rank, variance per dimension and against initialisation, knee, and leading shares of variance."""
    from trainables import streams
    from trainables.measures._trained import Measured, sample_rows

    setting = config.measures["latent_spectrum"]
    episodes = trained.episodes("test")
    rows = sample_rows(episodes.rows, setting.frames, streams.rng(setting.seed, "spectrum"))
    values = eigenvalues(trained.latents("test", rows).double().numpy())
    share = values / max(values.sum(), 1e-300)
    variance = float(values.mean())
    report = {
        "effective_rank": effective_rank(values),
        "latent_variance": variance,
        "variance_kept": variance / trained.result["initial_variance"],
        "knee": float(knee(values)),
        "two_component_share": float(share[:2].sum()),
    }
    return Measured(report | {f"component_share/{i + 1}": float(x) for i, x in enumerate(share[:SHOWN])})


def eigenvalues(z: np.ndarray) -> np.ndarray:
    """The D eigenvalues of the covariance of z (N, D), largest first, none below zero."""
    import numpy as np

    count, dim = z.shape
    if dim <= count:
        return np.linalg.eigvalsh(np.cov(z, rowvar=False))[::-1].clip(min=0)
    # Those of the frames' inner products, which are fewer; the others are zero.
    centred = z - z.mean(0)
    values = np.linalg.eigvalsh(centred @ centred.T / (count - 1))[::-1].clip(min=0)
    return np.concatenate([values, np.zeros(dim - count)])


def effective_rank(values: np.ndarray) -> float:
    """exp(-sum p log p) of the eigenvalues' shares p; 1 for one direction, D for a round cloud, 1 for none at all."""
    import numpy as np

    share = values[values > 1e-12 * max(values.max(), 1e-300)]
    share = share / share.sum() if share.size else np.ones(1)
    return float(np.exp(-(share * np.log(share)).sum()))


def knee(values: np.ndarray) -> int:
    """The number of directions before the largest ratio of successive eigenvalues (above numerical noise)."""
    import numpy as np

    kept = values[values > 1e-9 * max(values.max(), 1e-300)][: len(values) // 2 + 1]
    return int(np.argmax(kept[:-1] / kept[1:])) + 1 if kept.size > 1 else 1
