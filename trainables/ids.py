"""Content addresses: the hash of the part of a config that a stage depends on, plus the stage's recipe version."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import envs
from trainables import plugins
from trainables.config import TrialConfig

TRAIN_RECIPE = 1  # raise it with any change that moves the golden 50-step trace
DATA_RECIPE = 1  # of the recorder; each world has a `version` of its own besides

# A field that is added later is left out of the hash while it has the value that reproduces the old behaviour.
ADDED: dict[str, Any] = {}

# What says where or under which name a trial runs, or how it is judged, is no part of what was trained.
_NOT_TRAINED = {"scale", "method", "executor", "workers", "planner", "protocol", "measures", "data"}
SPLITS = ("train", "validation", "test")


def digest(content: Any) -> str:
    """Twelve hex digits of the canonical JSON of `content`."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def data_key(config: TrialConfig, split: str) -> str:
    """`data/<id>` of one split; validation and test sets do not depend on the amount of training data."""
    data = config.data
    return "data/" + digest(
        {
            "recipe": [DATA_RECIPE, envs.load(data.world).version],
            "split": split,
            "episodes": data.episodes if split == "train" else data.held_out,
            **data.model_dump(include={"world", "image_size", "steps", "seed"}),
        }
    )


def judged_data(config: TrialConfig) -> dict[str, str]:
    """Split -> key of its episodes for measures, which find under "test" those of the split that judges the config."""
    keys = {split: data_key(config, split) for split in SPLITS}
    return {**keys, "test": keys[config.protocol.split]}


def train_key(config: TrialConfig) -> str:
    """`train/<id>` of the checkpoint."""
    part = config.model_dump(exclude=_NOT_TRAINED)
    part["predictor"].pop("size", None)
    data = [data_key(config, split) for split in ("train", "validation")]
    return "train/" + digest({"recipe": TRAIN_RECIPE, "data": data, **_without_added(part)})


def measure_key(config: TrialConfig, name: str) -> str:
    """`train/<id>/measures/<name>-<id>` of one measure's values on that checkpoint."""
    plugin, uses = plugins.load("measures", name), config.model_dump(include=set(_uses(name)))
    content = {"recipe": plugin.VERSION, "measure": config.measures[name].model_dump(), **uses}
    content["data"] = list(judged_data(config).values())
    return f"{train_key(config)}/measures/{name}-{digest(content)}"


def floors_key(config: TrialConfig) -> str:
    """`floors/<id>` of the success of policies without a model on the same tasks."""
    part = config.model_dump(include={"protocol", "frameskip"})
    return "floors/" + digest({"recipe": 1, "data": data_key(config, config.protocol.split), **part})


def _uses(name: str) -> tuple[str, ...]:
    """Parts of the config, beside its own settings, that a measure depends on."""
    return plugins.load("measures", name).USES


def _without_added(part: dict) -> dict:
    return {key: value for key, value in part.items() if key not in ADDED or ADDED[key] != value}
