"""Recording what a study's trials learn from, before they start: as many tasks as the cluster has cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envs.collect import over_ray
from trainables import ids, pipeline
from trainables.config import TrialConfig
from trainables.settings import ConfigError
from trainables.store import Store, StoreError

Told = Callable[[str, int, int], None]


def collect(configs: Sequence[TrialConfig], store: Store, told: Told, check: Callable[[], None]) -> None:
    """Let the store have the episodes of all `configs`; `told(what, done, total)` counts those of a data set.

    `check` is called a few times a second. ConfigError for a world that cannot be drawn, a file that cannot be imported
    and episodes that trials cannot use; StoreError if the processes that record keep dying.
    """
    for config, split in _missing(configs, store):
        what = f"{config.data.world}, {split}"

        def progress(event: dict, what: str = what) -> None:
            told(what, event["done"], event["total"])

        try:
            pipeline.ensure_data(config, store, split, progress, over_ray(check))
        except (ImportError, ValueError) as error:
            raise ConfigError(f"data: {what}: {error}") from error
        except RuntimeError as error:
            raise StoreError(f"data: {what}: {error}") from error
    for config in {ids.train_key(config): config for config in configs if config.data.source}.values():
        try:
            pipeline.check_episodes(config, store)
        except ValueError as error:
            raise ConfigError(f"data: {error}") from error


def _missing(configs: Sequence[TrialConfig], store: Store) -> list[tuple[TrialConfig, str]]:
    """A config and the split of every data set that is not there."""
    wanted = {ids.data_key(config, split): (config, split) for config in configs for split in ids.SPLITS}
    return [asked for key, asked in wanted.items() if store.get(key) is None]
