"""Linear probe: how much of the physical state can be read off the latent by ridge regression, R^2 on unseen episodes.

Protocol of arXiv:2606.20104 (Table 2): standardised latents of single frames, ridge with alpha 1e-3, R^2 averaged over
a quantity's components. Fitted on training episodes, scored on test episodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.measures._value import Value
from trainables.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from envs import World
    from trainables.config import TrialConfig
    from trainables.measures._trained import Map, Measured, Trained

VERSION = 1
USES = ()
VALUES = {"probe_r2": Value("R²", True, most=1.0)}


class Config(Settings):
    name: Literal["probe_r2"] = "probe_r2"
    fit: int = Field(default=5000, ge=10)  # training frames (the paper: 25,000)
    score: int = Field(default=2000, ge=10)  # test frames (the paper: 5,000)
    alpha: float = Field(default=1e-3, ge=0)
    seed: int = Field(default=0, ge=0)  # which frames


def measure(trained: Trained, config: TrialConfig, map: Map) -> Measured:
    """`probe_r2`, the mean over the world's quantities, and `probe_r2/<quantity>` each."""
    from trainables.measures._trained import Measured

    setting = config.measures["probe_r2"]
    fit, state = _frames(trained, "train", setting.fit, setting.seed)
    score, truth = _frames(trained, "test", setting.score, setting.seed)
    world = config.data.load()
    scores = {}
    for quantity, columns in world.quantities.items():
        known, asked = (targets(world, columns, values) for values in (state, truth))
        scores[f"probe_r2/{quantity}"] = linear_r2(fit, known, score, asked, setting.alpha)
    return Measured({"probe_r2": sum(scores.values()) / len(scores), **scores})


def targets(world: World, columns: Sequence[str], states: np.ndarray) -> np.ndarray:
    """What a probe is to read of states (N, S) -> (N, K): the columns' numbers, of angles the cosine and the sine."""
    import numpy as np

    found = []
    for column in columns:
        values = states[:, world.state_names.index(column)]
        found += [np.cos(values), np.sin(values)] if column in world.angles else [values]
    return np.stack(found, axis=1)


def linear_r2(x: np.ndarray, y: np.ndarray, x_new: np.ndarray, y_new: np.ndarray, alpha: float) -> float:
    """R^2 on (x_new, y_new), the mean over targets, of ridge regression fitted to x (N, D), y (N, K)."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return float(make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(x, y).score(x_new, y_new))


def _frames(trained: Trained, split: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from trainables import streams
    from trainables.measures._trained import sample_rows

    episodes = trained.episodes(split)
    rows = sample_rows(episodes.rows, count, streams.rng(seed, f"probe_{split}"))
    return trained.latents(split, rows).double().numpy(), episodes.states(rows)
