"""Record episodes of a world and their data card: `python -m envs.collect push_t --episodes 1000`.

Parts are recorded by as many Ray tasks as there are cores; the outcome is the same to the bit with any number of them,
and the same command goes on after a kill. Exit code 2 for bad input, 1 where it cannot be written.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import envs
from envs._card import markdown, write_card
from envs._episodes import FILE_NAME, Episodes
from envs._recording import Map, Recording, record

WAIT_SECONDS = 0.2
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # the second: on loopback alone


def over_ray(idle: Callable[[], None] = lambda: None) -> Map:
    """A map over tasks of the Ray that this process is connected to, in the order in which they end.

    `idle` is called a few times a second. A task that fails raises what it raised; one whose process is lost is
    repeated, and a RuntimeError if that does not help.
    """

    def map(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        import ray

        task = ray.remote(num_cpus=1, max_retries=3)(lambda part: function(part))
        waiting, running = deque(items), []
        while waiting or running:
            # Twice as many as there are cores: none waits for work, and no more results than that lie in memory.
            room = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
            running += [task.remote(waiting.popleft()) for _ in range(min(len(waiting), room - len(running)))]
            ended, running = ray.wait(running, timeout=WAIT_SECONDS)
            idle()
            for reference in ended:
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error
                except ray.exceptions.RayError as error:
                    raise RuntimeError(f"a process that recorded is gone: {str(error).splitlines()[0]}") from error

    return map


def main(
    world: Annotated[str, typer.Argument(help="envs/<world>.py")],
    episodes: Annotated[int, typer.Option(min=1)] = 100,
    steps: Annotated[int | None, typer.Option(min=1, help="per episode; the world's own otherwise")] = None,
    size: Annotated[int, typer.Option(min=8, max=1024, help="of a frame, in pixels")] = 64,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    split: Annotated[str, typer.Option(help="train, validation or test: streams of random numbers")] = "train",
    option: Annotated[list[str] | None, typer.Option(help="name=value of the world, any number of times")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="1: without Ray; all cores otherwise")] = None,
    folder: Annotated[Path | None, typer.Option(help="data/<world>/<split> otherwise")] = None,
) -> None:
    """Record episodes into <folder>/episodes.arrow, with a card and a sheet of pictures beside it."""
    try:
        found = envs.load(world, options := _options(option or []))
        found.render(found.sample(1, _any()), size)  # what cannot be drawn here is said before anything is started
        asked = Recording(found.name, split, episodes, steps or found.episode_steps, size, seed, options)
    except (ValueError, ImportError) as error:
        _stop(error, 2)
    folder = folder or Path("data") / world / split
    workers = min(workers or os.cpu_count() or 1, len(asked.parts()))
    try:
        if not _there(asked, folder):
            _record(asked, folder, workers)
        typer.echo(markdown(write_card(folder)))
    except (OSError, ValueError, RuntimeError) as error:
        _stop(error, 1)
    typer.echo(f"written: {folder}")


def _stop(error: Exception, code: int) -> NoReturn:
    typer.echo(f"error: {' '.join(str(error).split())}", err=True)
    raise typer.Exit(code) from None


def _there(asked: Recording, folder: Path) -> bool:
    """Whether the folder holds these episodes already; a ValueError if it holds others, which are not overwritten."""
    if not (folder / FILE_NAME).exists():
        return False
    found = Episodes(folder).metadata
    if found != json.loads(json.dumps(asked.metadata())):
        about = ", ".join(f"{key}={found.get(key)}" for key in ("world", "split", "episodes", "steps", "size", "seed"))
        raise ValueError(f"{folder} holds other episodes ({about}); remove them or give another --folder")
    return True


def _any() -> Any:
    import numpy as np

    return np.random.default_rng(0)


def _options(texts: list[str]) -> dict[str, Any]:
    """name=value texts; a value is JSON where it is JSON."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"option: {text!r} is not of the form name=value")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _record(asked: Recording, folder: Path, workers: int) -> None:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar, _map(workers) as over:
        shown = bar.add_task(f"{asked.world}, {asked.split}", total=asked.episodes)
        record(asked, folder, map=over, progress=lambda done, total: bar.update(shown, completed=done))


@contextmanager
def _map(workers: int) -> Iterator[Map]:
    """The builtin map for one worker, else one over tasks of a Ray of our own."""
    if workers == 1:
        yield map
        return
    os.environ.update(QUIET)
    import ray

    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=workers, **quiet)
    try:
        yield over_ray()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    typer.run(main)
