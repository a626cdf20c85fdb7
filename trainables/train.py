"""Train and judge one trial without Ray: `python -m trainables.train --method smwm --world two_room --scale gpu`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from trainables import ids, pipeline
from trainables.paths import assign_all, base_config, parse_settings
from trainables.remote import open_store
from trainables.settings import ConfigError
from trainables.store import StoreError


def main(
    method: Annotated[str, typer.Option(help="trainables/methods/<method>.py")] = "smwm",
    world: Annotated[str, typer.Option(help="envs/<world>.py")] = "two_room",
    scale: Annotated[str, typer.Option(help="trainables/scales/<scale>.py")] = "local",
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value, any number of times")] = None,
    store: Annotated[str, typer.Option(help="where everything is kept: a path or URI")] = "runs",
) -> None:
    """Train one world model, measure it, and print what came out."""
    try:
        config = assign_all(base_config(method, world, scale), parse_settings(set_ or []))
        if config.workers > 1:
            raise ConfigError(f"workers: {config.workers} need Ray, use study/run.py")
        shelf = open_store(store)
        if pipeline.state(config, shelf) != "done" and (lacking := pipeline.lacking(config)):
            raise ConfigError(lacking)
    except (ConfigError, StoreError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    with _bar() as bar:
        shown = _shown(bar)
        try:
            for split in ids.SPLITS:
                pipeline.ensure_data(config, shelf, split, shown)
            pipeline.check_episodes(config, shelf)
        except (ImportError, ValueError) as error:
            bar.stop()
            typer.echo(f"error: data: {error}", err=True)
            raise typer.Exit(2) from None
        record = pipeline.run_trial(config, shelf, progress=shown)
    floors = pipeline.ensure_floors(config, shelf)
    for name, value in {"trial": record["trial"], "status": record["status"], **record["measures"]}.items():
        typer.echo(f"{name:28} {value:.4g}" if isinstance(value, float) else f"{name:28} {value}")
    for name, repeats in ((name, found["success"]) for name, found in floors.items()):
        typer.echo(f"{'floor ' + name:28} {sum(map(sum, repeats)) / sum(map(len, repeats)):.4g}")
    for name, seconds in record["seconds"].items():
        typer.echo(f"{'seconds ' + name:28} {seconds:.1f}")


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _shown(bar: Progress):
    task = bar.add_task("starting", total=None, note="")

    def show(event: dict) -> None:
        done, total = event.get("step", event.get("done")), event.get("steps", event.get("total"))
        note = f"loss {event['loss']:.4g}" if "loss" in event else event.get("measure", event.get("split", ""))
        bar.update(task, description=event["phase"], completed=done or 0, total=total, note=note)

    return show


if __name__ == "__main__":
    typer.run(main)
