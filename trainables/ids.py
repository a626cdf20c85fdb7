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
FEATURES_RECIPE = 1  # of how a frozen encoder's features are computed and kept

# A field that is added later is left out of the hash while it has the value that reproduces the old behaviour.
ADDED: dict[str, Any] = {
    "protocol.early": 0,
    "protocol.earlier_rows": 10,
    "protocol.solved_starts": False,
    "protocol.clip": True,
    "protocol.context": None,
    "protocol.look": {},
    "projector.identity": False,
    "compile": None,
}

# What says where or under which name a trial runs, or how it is judged, is no part of what was trained.
_NOT_TRAINED = {"scale", "method", "executor", "workers", "gpu_share", "planner", "protocol", "measures", "data"}
SPLITS = ("train", "validation", "test")


def digest(content: Any) -> str:
    """Twelve hex digits of the canonical JSON of `content`."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def data_key(config: TrialConfig, split: str) -> str:
    """`data/<id>` of one split; validation and test sets do not depend on the amount of training data."""
    data = config.data
    content = {
        "recipe": [DATA_RECIPE, envs.load(data.world).version],
        "split": split,
        "episodes": data.episodes if split == "train" else data.held_out,
        **data.model_dump(include={"world", "image_size", "steps", "seed"}),
    }
    if data.options:
        content["options"] = data.options
    if data.source:
        del content["steps"]
        content |= {"source": data.fingerprint, "held_out": data.held_out}  # which also says what is left to train on
    return "data/" + digest(content)


def features_key(config: TrialConfig, split: str) -> str:
    """`features/<id>` of what the frozen encoder says of a split's frames."""
    encoder = _by_content(config.encoder.model_dump())
    return "features/" + digest({"recipe": FEATURES_RECIPE, "data": data_key(config, split), "encoder": encoder})


def judged_data(config: TrialConfig) -> dict[str, str]:
    """Split -> key of its episodes for measures, which find under "test" those of the split that judges the config."""
    keys = {split: data_key(config, split) for split in SPLITS}
    return {**keys, "test": keys[judging_split(config)]}


def judging_split(config: TrialConfig) -> str:
    """The split whose episodes measures find under "test": those of a search's trials are its validation tasks'.

    A protocol that plans on training episodes changes nothing else.
    """
    return "validation" if config.protocol.split == "validation" else "test"


def train_key(config: TrialConfig) -> str:
    """`train/<id>` of the checkpoint."""
    part = _without_added(config.model_dump(exclude=_NOT_TRAINED))
    part["predictor"].pop("size", None)
    part["encoder"] = _by_content(part["encoder"])
    data = [data_key(config, split) for split in ("train", "validation")]
    return "train/" + digest({"recipe": TRAIN_RECIPE, "data": data, **part})


def measure_key(config: TrialConfig, name: str) -> str:
    """`train/<id>/measures/<name>-<id>` of one measure's values on that checkpoint."""
    plugin, uses = plugins.load("measures", name), _judged(config, set(_uses(name)))
    content = {"recipe": plugin.VERSION, "measure": config.measures[name].model_dump(), **uses}
    content["data"] = list(judged_data(config).values())
    return f"{train_key(config)}/measures/{name}-{digest(content)}"


def floors_key(config: TrialConfig) -> str:
    """`floors/<id>` of what becomes of policies without a model on the same tasks."""
    part = _judged(config, {"protocol", "frameskip"})
    part["protocol"].pop("look", None)  # policies without a model see nothing
    return "floors/" + digest({"recipe": 2, "data": data_key(config, config.protocol.split), **part})


def _by_content(encoder: dict[str, Any]) -> dict[str, Any]:
    """The settings of an encoder whose weights are a file by what is in it, not by where it lies."""
    return {name: value for name, value in encoder.items() if not (name == "weights" and encoder.get("fingerprint"))}


def _uses(name: str) -> tuple[str, ...]:
    """Parts of the config, beside its own settings, that a measure depends on."""
    return plugins.load("measures", name).USES


def _judged(config: TrialConfig, parts: set[str]) -> dict[str, Any]:
    """Parts of a config, the protocol by what it does: its name is a label, and "strict" in every hash."""
    found = config.model_dump(include=parts)
    if "protocol" in found:
        look, options = config.data.load(config.protocol.look), config.data.load()
        seen, plain = (world.options.model_dump(mode="json") for world in (look, options))
        found["protocol"] |= {"name": "strict", "look": {key: seen[key] for key in seen if seen[key] != plain[key]}}
        if config.protocol.context == config.history:
            found["protocol"]["context"] = None
    return _without_added(found)


def _without_added(part: dict[str, Any]) -> dict[str, Any]:
    """A nested config without the later fields that have their old behaviour."""
    for path, old in ADDED.items():
        *above, name = path.split(".")
        here = part
        for key in above:
            here = here.get(key, {})
        if name in here and here[name] == old:
            del here[name]
    return part
