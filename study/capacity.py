"""What a cluster has and may come to have, against what trials need: plain numbers, Ray is asked elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Resources = Mapping[str, float]  # {"CPU": 8, "GPU": 1, "trial_slot": 16}
CARD = "accelerator_type:"  # before a kind of GPU in the name of a resource of Ray's
SHOWN = ("CPU", "GPU", "trial_slot")


@dataclass(frozen=True)
class Capacity:
    """The nodes that are there, and all that there are once the autoscaler has started as many as it may.

    `unknown` nodes are to come of which nobody knows yet what they have.
    """

    nodes: Sequence[Resources]
    planned: Sequence[Resources] = field(default=())
    unknown: int = 0

    def most(self, name: str) -> float:
        """How much of a resource there can be; nodes that nobody knows are taken to be like the best that is there."""
        now = [node.get(name, 0.0) for node in self.nodes]
        return max(sum(now) + self.unknown * max(now, default=0.0), sum(node.get(name, 0.0) for node in self.planned))

    def largest(self, name: str) -> float:
        """How much of a resource one node can have."""
        return max((node.get(name, 0.0) for node in (*self.nodes, *self.planned)), default=0.0)

    @property
    def cards(self) -> frozenset[str]:
        """Kinds of GPU that are there, as Ray calls them: "L4", "H100"; empty where Ray does not know."""
        named = [name.partition(CARD)[2] for node in self.nodes if node.get("GPU") for name in node]
        return frozenset(name for name in named if name)

    @property
    def grows(self) -> bool:
        """Whether nodes may come by themselves."""
        return len(self.planned) > len(self.nodes) or self.unknown > 0

    def at_once(self, bundles: Sequence[Resources]) -> int:
        """How many trials can run at a time that hold these bundles each, a bundle on one node."""
        return min((self._room(bundle) // bundles.count(bundle) for bundle in bundles), default=0)

    def _room(self, bundle: Resources) -> int:
        """How many of a bundle there can be; nodes that nobody knows are taken to be like the best that is there."""
        now = [_held(node, bundle) for node in self.nodes]
        return max(sum(now) + self.unknown * max(now, default=0), sum(_held(node, bundle) for node in self.planned))

    def lacks(self, bundles: Sequence[Resources]) -> tuple[str, str] | None:
        """(resource, why) if a trial that holds these bundles, each on one node, can never run."""
        for bundle in bundles:
            for name, count in bundle.items():
                if count > self.largest(name):
                    return name, f"{count:g} {name} on one node, the largest has {self.largest(name):g}"
            if not any(_held(node, bundle) for node in (*self.nodes, *self.planned)):
                return next(iter(bundle)), f"{described([bundle])} on one node, none has all of it"
        for name, count in total(bundles).items():
            if count > self.most(name):
                return name, f"{count:g} {name}, the cluster has {self.most(name):g}"
        return None

    def __str__(self) -> str:
        now = ", ".join(f"{sum(node.get(name, 0.0) for node in self.nodes):g} {name}" for name in SHOWN)
        grown = ", ".join(f"{self.most(name):g} {name}" for name in SHOWN)
        return f"{len(self.nodes)} nodes with {now}" + (f"; it may grow to {grown}" if self.grows else "")


def _held(node: Resources, bundle: Resources) -> int:
    """How many of a bundle one node holds: five fifths of a GPU are a GPU."""
    return min((int(node.get(name, 0.0) / count + 1e-9) for name, count in bundle.items() if count), default=0)


def total(bundles: Iterable[Resources]) -> dict[str, float]:
    """The sum of bundles, by resource."""
    found: dict[str, float] = {}
    for bundle in bundles:
        for name, count in bundle.items():
            found[name] = found.get(name, 0.0) + count
    return found


def planned(config: Mapping[str, Any], nodes: Sequence[Resources]) -> Capacity:
    """The capacity of a cluster of these nodes that `ray up` made from `config`."""
    types = config.get("available_node_types", {})
    most = config.get("max_workers", 0)
    if not any(kind.get("resources") for kind in types.values()):  # machines on premises, which Ray asks itself
        return Capacity(nodes, unknown=max(0, most + 1 - len(nodes)))
    head, workers = config["head_node_type"], []
    for name, kind in types.items():
        workers += [kind["resources"]] * min(most, kind.get("max_workers", 0 if name == head else most))
    return Capacity(nodes, [types[head]["resources"], *workers])


def described(bundles: Iterable[Resources]) -> str:
    """Bundles in words: "2 x (4 CPU, 1 GPU)"."""
    texts = ["(" + ", ".join(f"{count:g} {name}" for name, count in sorted(each.items())) + ")" for each in bundles]
    return " + ".join(f"{texts.count(text)} x {text}" for text in dict.fromkeys(texts))
