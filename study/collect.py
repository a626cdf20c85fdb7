"""Recording what a study's trials learn from, before they start: as many tasks as the cluster has cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envs.collect import over_ray
from trainables import ids, pipeline
from trainables.config import TrialConfig
from trainables.settings import ConfigError
from trainables.store import Store

Told = Callable[[str, int, int], None]


def collect(configs: Sequence[TrialConfig], store: Store, told: Told, check: Callable[[], None]) -> None:
    """Let the store have the episodes of all `configs`; `told(what, done, total)` counts those of a data set.

    `check` is called a few times a second. ConfigError if the world cannot be drawn.
    """
    for key, (config, split) in _missing(configs, store).items():
        what = f"{config.data.world}, {split}"

        def progress(event: dict, what: str = what) -> None:
            told(what, event["done"], event["total"])

        try:
            pipeline.ensure_data(config, store, split, progress, over_ray(check))
        except (ImportError, ValueError) as error:
            raise ConfigError(f"data: {key} ({what}): {error}") from error


def _missing(configs: Sequence[TrialConfig], store: Store) -> dict[str, tuple[TrialConfig, str]]:
    """Key of every data set that is not there, with a config and the split that ask for it."""
    wanted = {ids.data_key(config, split): (config, split) for config in configs for split in ids.SPLITS}
    return {key: asked for key, asked in wanted.items() if store.get(key) is None}
