"""Looks at a training under way: cheap measures on validation episodes at fixed steps, for whoever may stop it.

They predict planning where the raw loss does not: a collapsed latent has the smallest loss of all. What they draw comes
from streams of their own, so that a training that was watched has the bits of one that was not, and they are part of no
id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainables import features, plugins

if TYPE_CHECKING:
    from trainables.training import Run

# Measures that can be watched, with settings that cost about a second on a CPU.
SETTINGS: dict[str, dict[str, Any]] = {
    "probe_r2": {"fit": 1000, "score": 500},
    "latent_spectrum": {"frames": 1000},
    "rollout_error": {"clips": 100},
}
VALUES = {  # number -> measure that reports it
    "probe_r2": "probe_r2",
    "effective_rank": "latent_spectrum",
    "variance_kept": "latent_spectrum",
    "rollout_error_1": "rollout_error",
    "rollout_error_5": "rollout_error",
}
ALWAYS = "variance_kept"  # tells of collapse


@dataclass(frozen=True)
class Watch:
    """At which steps to look (after that many updates), and at what: names of VALUES."""

    steps: tuple[int, ...]
    values: tuple[str, ...]

    def look(self, run: Run, data: Mapping[str, Any]) -> dict[str, float]:
        """The watched numbers of the run as it stands, and `variance_kept`; the model is left as it was."""
        wanted = {*self.values, ALWAYS}
        found: dict[str, float] = {}
        for measure in sorted({VALUES[name] for name in wanted}):
            found |= _measure(measure, run, data)
        return {name: found[name] for name in sorted(wanted)}


def higher_is_better(value: str) -> bool:
    """The direction of a watched number."""
    return plugins.load("measures", VALUES[value]).VALUES[value].higher_is_better


def _measure(name: str, run: Run, data: Mapping[str, Any]) -> dict[str, float]:
    from trainables.measures._trained import Trained

    class Live(Trained):
        """A model that is still being trained, judged on validation episodes in place of test episodes."""

        model = run.model
        result: Mapping[str, Any] = {"initial_variance": run.initial_variance}

    plugin = plugins.load("measures", name)
    config = run.config.model_copy(update={"measures": {name: plugin.Config(**SETTINGS[name])}})
    episodes = features.judged(data, "validation")
    run.model.eval()
    return plugin.measure(Live(None, episodes), config, _map).values


def _map(function: Callable, items: Any) -> list:
    return [function(item) for item in items]
