"""What a scale sets otherwise than the papers did, in the methods and terms of a study's arms: to be said in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from study.plan import Study
from trainables import plugins
from trainables.config import TrialConfig
from trainables.paths import flatten


def notes(study: Study) -> list[str]:
    """A sentence that names every such setting and its arms; none where the scale has none.

    What an arm or a `--set` gives is left out: it is told by the arm's name, or in the table's "Set:".
    """
    configs = {trial.arm: (trial.config, {*trial.changes, *study.sets}) for trial in study.trials}
    arms: dict[str, list[str]] = defaultdict(list)
    for arm, (config, chosen) in configs.items():
        for departure in _departures(config, chosen):
            arms[departure].append(arm)
    shared: dict[str, list[str]] = defaultdict(list)
    for departure, names in arms.items():
        shared["every arm" if len(names) == len(configs) else ", ".join(names)].append(departure)
    each = "; ".join(f"{names}: {', '.join(found)}" for names, found in shared.items())
    where = f"trainables/scales/{study.scale}.py says why"
    return [f"At scale {study.scale} these settings are not the published ones: {each}; {where}."] if each else []


def _departures(config: TrialConfig, chosen: Collection[str]) -> list[str]:
    """`terms.sigreg.weight 0.01 (published 0.09)` for every setting of a term that the scale has its own value of."""
    ours, published = flatten(config), _published(config)
    return [
        f"{path} {_short(value)} (published {_short(published[path])})"
        for path, value in _of_scale(config).items()
        if path not in chosen and ours.get(path) == value and published.get(path, value) != value
    ]


def _of_scale(config: TrialConfig) -> dict[str, Any]:
    """What the scale sets of the config's terms and method, by path."""
    sizes = plugins.load("scales", config.scale).SIZES
    terms = {
        f"terms.{name}.{key}": value for name in config.terms for key, value in sizes.get(f"terms.{name}", {}).items()
    }
    return terms | sizes.get(f"method.{config.method}", {})


def _published(config: TrialConfig) -> dict[str, Any]:
    """Settings of the config's terms as the method has them, and as the term's own file does where it is silent."""
    preset = plugins.load("methods", config.method).settings(config.data.world)["terms"]
    whole = {name: plugins.load("terms", name).Config(**preset.get(name, {})).model_dump() for name in config.terms}
    return {f"terms.{name}.{key}": value for name, settings in whole.items() for key, value in settings.items()}


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
