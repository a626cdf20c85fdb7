"""Run a sweep, look at its plan, or rebuild its report: `python study/run.py --sweep predictor_size`.

Exit code 0 when the study is complete, 1 when a trial crashed, 2 for bad input, 130 when it was stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

import search_spaces
from study import plan as plans
from study import report
from trainables.paths import parse_value
from trainables.settings import ConfigError
from trainables.store import Store, StoreError

ROOT = Path(__file__).resolve().parents[1]


def main(
    sweep: Annotated[str | None, typer.Option(help="search_spaces/<sweep>.py")] = None,
    list_: Annotated[bool, typer.Option("--list", help="show every sweep and end")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="show what would run and end")] = False,
    report_: Annotated[bool, typer.Option("--report", help="rebuild the tables from what there is and end")] = False,
    scale: Annotated[str, typer.Option(help="trainables/scales/<scale>.py")] = "local",
    world: Annotated[str | None, typer.Option(help="envs/<world>.py, the sweep's own otherwise")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="N", help="seeds 0 to N-1, the sweep's own otherwise")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value, any number of times")] = None,
    store: Annotated[Path, typer.Option(help="everything that is kept lies below it")] = Path("runs"),
    tracking_uri: Annotated[str | None, typer.Option(help="of MLflow; a database in the store otherwise")] = None,
    address: Annotated[str | None, typer.Option(help="of a Ray cluster; one on this machine otherwise")] = None,
) -> None:
    """Run an ablation over world models, and go on with it by the same command."""
    if list_:
        return _list()
    try:
        study, shelf = _study(sweep, scale, world, seeds, set_ or [], tracking_uri, store)
        if plan:
            return _show_plan(study, plans.plan(study, shelf))
        if report_:
            return _report(study, shelf)
        _run(study, shelf, tracking_uri, address)
    except (ConfigError, StoreError) as error:
        _refuse(str(error))


def _study(
    sweep: str | None,
    scale: str,
    world: str | None,
    seeds: str | None,
    sets: list[str],
    tracking_uri: str | None,
    store: Path,
) -> tuple[plans.Study, Store]:
    """The study that the options ask for, and the store; checked before anything is written."""
    if sweep is None:
        raise ConfigError(f"sweep: give --sweep NAME, one of {', '.join(search_spaces.names())}")
    study = plans.make_study(sweep, world=world, scale=scale, sets=dict(map(_setting, sets)), seeds=_count(seeds))
    if tracking_uri is not None:
        from study.tracking import check_uri

        check_uri(tracking_uri)
    return study, Store(store)


def _count(seeds: str | None) -> int | None:
    if seeds is not None and not seeds.removeprefix("-").isdecimal():
        raise ConfigError(f"seeds: {seeds!r} is no whole number")
    return None if seeds is None else int(seeds)


def _setting(text: str) -> tuple[str, Any]:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"set: {text!r} is not of the form path=value")
    return path, parse_value(value)


def _list() -> None:
    for name in search_spaces.names():
        sweep = search_spaces.load(name)
        typer.echo(f"{name:18} {len(sweep.arms) * len(sweep.seeds):3} trials  {sweep.question}")


def _show_plan(study: plans.Study, plan: plans.Plan) -> None:
    rows = [("trial", "arm", "seed", "changes", "state", "hours")]
    for planned in plan.planned:
        trial = planned.trial
        hours = f"{planned.hours:.2f}" if planned.state != "done" else ""
        changed = plans.changes(study, trial.arm)
        rows.append((plans.trial_id(trial), trial.arm, str(trial.seed), changed, planned.state, hours))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    typer.echo(f"{study.key}: {study.sweep.question}")
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo(plans.summary(plan))


def _report(study: plans.Study, store: Store) -> None:
    records = report.records(study, store)
    _show_report(report.write(study, store, records))


def _run(study: plans.Study, store: Store, tracking_uri: str | None, address: str | None) -> None:
    from study.tracking import Tracker, default_uri

    console = Console(stderr=True)
    plan, uri = plans.plan(study, store), tracking_uri or default_uri(store)
    typer.echo(f"{study.key}: {study.sweep.question}\n{plans.summary(plan)}")
    tracker = Tracker(study, store, uri, lambda text: console.print(f"[yellow]warning:[/] {escape(text)}"))
    if plan.open:
        _execute(study, store, plan, tracker, address, console)
    records = report.records(study, store)
    folder = report.write(study, store, records)
    tracker.complete(records, folder)
    for note in report.notes(records):
        console.print(f"[yellow]warning:[/] {escape(note)}")
    _show_report(folder)
    here = store.root == ROOT / "runs" and tracking_uri is None
    typer.echo(f"MLflow: {'make ui' if here else _ui(uri)}")
    if any(record["status"] in ("crashed", "missing") for record in records):
        typer.echo("some trials crashed; the same command tries them again", err=True)
        raise typer.Exit(1)


def _execute(study: plans.Study, store: Store, plan: plans.Plan, tracker: Any, address: str | None, console: Console):
    from study import cluster, progress

    cluster.quieten()
    from study.execute import execute

    try:
        with progress.Progress(plan, store, study.sweep.primary, console) as shown:
            execute([planned.trial for planned in plan.open], store, [shown, tracker], address=address)
    except KeyboardInterrupt:
        tracker.stop()
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None


def _show_report(folder: Path) -> None:
    typer.echo(f"\n{(folder / 'table.md').read_text().rstrip()}\n\nreport: {folder}")


def _ui(uri: str) -> str:
    """How to look at the record."""
    if uri.startswith("http"):
        return uri
    return (
        f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {sys.executable} -m mlflow ui --workers 1 --backend-store-uri {uri}"
    )


def _refuse(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    app()
