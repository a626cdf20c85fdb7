"""What `--set` may change in the configs of a sweep: nothing in which its arms differ."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from typing import Any

from search_spaces._spaces import Arm
from trainables.config import TrialConfig
from trainables.paths import assign_all, flatten
from trainables.settings import ConfigError

_ABSENT = object()


def apply(
    plain: Mapping[Hashable, TrialConfig], sets: Mapping[str, Any], partly: Set[str] = frozenset()
) -> dict[Hashable, TrialConfig]:
    """Every arm's config with `sets`; ConfigError if they change a setting in which the arms differ.

    A setting of `partly` is set in the arms that have it.
    """
    if "seed" in sets:
        raise ConfigError("seed: cannot be set, a sweep runs every arm with the same seeds; use --seeds")
    if not sets:
        return dict(plain)
    before = [flatten(config) for config in plain.values()]
    swept = _swept(before)
    for given in (path for path in sets if path not in partly):
        for path in swept:
            if related(given, path):
                raise ConfigError(f"{given}: cannot be set, the sweep varies {path}")
    configs = {
        name: assign_all(config, {path: sets[path] for path in sets if path not in partly or path in has})
        for (name, config), has in zip(plain.items(), before, strict=True)
    }
    after = [flatten(config) for config in configs.values()]
    if changed := [path for path in swept if _kept(before, path, partly) != _kept(after, path, partly)]:
        raise ConfigError(f"{', '.join(sets)}: cannot be set, it changes {changed[0]}, which the sweep varies")
    return configs


def partly(plain: Mapping[str, TrialConfig], arms: Iterable[Arm]) -> set[str]:
    """Settings that some arms have, all alike, and others have not, and that no arm is about."""
    flat = [flatten(config) for config in plain.values()]
    alike = [path for path in _swept(flat) if len({repr(each[path]) for each in flat if path in each}) == 1]
    changes = [change for arm in arms for change in arm.changes.items()]
    return {path for path in alike if not any(_about(*each, path) for each in changes)}


def related(first: str, second: str) -> bool:
    """Whether one path leads through the other."""
    return f"{first}.".startswith(f"{second}.") or f"{second}.".startswith(f"{first}.")


def _about(changed: str, value: Any, path: str) -> bool:
    """Whether an arm that changes a setting to a value says itself what `path` is."""
    return changed == path or (isinstance(value, Mapping) and related(changed, path))


def _kept(flat: Sequence[Mapping[str, Any]], path: str, partly: Set[str]) -> list:
    """What no set may change of a setting in which the arms differ: of one of `partly`, which arms have it."""
    return [path in settings for settings in flat] if path in partly else _column(flat, path)


def _swept(flat: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every setting in which the arms differ."""
    paths = sorted({path for settings in flat for path in settings})
    return [path for path in paths if len(set(_column(flat, path))) > 1]


def _column(flat: Sequence[Mapping[str, Any]], path: str) -> list[str]:
    """One setting in every arm, as text that tells 1, "1" and absence apart."""
    return [repr(settings.get(path, _ABSENT)) for settings in flat]
