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
from study.uris import check_uri, default_uri, hidden, host_and_port
from trainables.paths import parse_settings
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
    store: Annotated[str, typer.Option(metavar="PATH", help="everything that is kept lies below it")] = "runs",
    tracking_uri: Annotated[str | None, typer.Option(help="of MLflow; a database in the store otherwise")] = None,
    address: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="a Ray cluster; our own otherwise")] = None,
) -> None:
    """Run an ablation over world models, and go on with it by the same command."""
    try:
        _check_one_of({"--list": list_, "--plan": plan, "--report": report_})
        if list_:
            return _list(sweep)
        study = _study(sweep, scale, world, seeds, set_ or [])
        _check_places(store, tracking_uri, address)
        if plan:
            return _show_plan(study, plans.plan(study, _existing(store)))
        if report_:
            return _report(study, Store(store))
        _run(study, Store(store), tracking_uri, address)
    except (ConfigError, StoreError) as error:
        _refuse(str(error))


def _check_one_of(given: dict[str, bool]) -> None:
    """ConfigError for options that ask for different things."""
    asked = [name for name, wanted in given.items() if wanted]
    if len(asked) > 1:
        raise ConfigError(f"{' and '.join(asked)}: give one of them, each shows something else and ends")


def _study(sweep: str | None, scale: str, world: str | None, seeds: str | None, sets: list[str]) -> plans.Study:
    """The study that the options ask for; checked before anything is written."""
    if sweep is None:
        raise ConfigError(f"sweep: give --sweep NAME, one of {', '.join(search_spaces.names())}")
    return plans.make_study(sweep, world=world, scale=scale, sets=parse_settings(sets), seeds=_count(seeds))


def _check_places(store: str, tracking_uri: str | None, address: str | None) -> None:
    if not store.strip():
        raise ConfigError(f"store: {store!r} is no path")
    if tracking_uri is not None:
        check_uri(tracking_uri)
    if address is not None:
        host_and_port(address)


def _existing(store: str) -> Store | None:
    """The store if there is one: a plan writes nothing."""
    return Store(store) if (Path(store).expanduser() / "leases").is_dir() else None


def _count(seeds: str | None) -> int | None:
    if seeds is not None and not seeds.removeprefix("-").isdecimal():
        raise ConfigError(f"seeds: {seeds!r} is no whole number")
    return None if seeds is None else int(seeds)


def _list(sweep: str | None) -> None:
    if sweep is not None:
        raise ConfigError(f"--list and --sweep {sweep}: the list is of every sweep; give --plan for what one would run")
    for name in search_spaces.names():
        sweep = search_spaces.load(name)
        typer.echo(f"{name:18} {len(sweep.arms) * len(sweep.seeds):3} trials  {sweep.question}")


def _show_plan(study: plans.Study, plan: plans.Plan) -> None:
    rows = [("trial", "arm", "seed", "changes", "state", "hours")]
    for planned in plan.planned:
        trial = planned.trial
        hours = f"{planned.hours:.2f}" if planned.state != "done" else ""
        changed = plans.changes(trial)
        rows.append((plans.trial_id(trial), trial.arm, str(trial.seed), changed, planned.state, hours))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    typer.echo(f"{study.key}: {study.sweep.question}")
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo(plans.summary(plan))


def _report(study: plans.Study, store: Store) -> None:
    study = _covering(study, store)
    _show_report(report.write(study, store, report.records(study, store)))


def _covering(study: plans.Study, store: Store) -> plans.Study:
    """The study with the seeds that it has besides; says so if there are any."""
    whole = report.covering(study, store)
    if more := [str(seed) for seed in whole.seeds if seed not in study.seeds]:
        typer.echo(f"the report goes on to cover what this study has besides: seeds {', '.join(more)}")
    return whole


def _run(study: plans.Study, store: Store, tracking_uri: str | None, address: str | None) -> None:
    from study.tracking import Tracker

    console = Console(stderr=True)
    plan, uri = plans.plan(study, store), tracking_uri or default_uri(store)
    typer.echo(f"{study.key}: {study.sweep.question}\n{plans.summary(plan)}")
    report.check_writable(study, store)
    whole = _covering(study, store)
    tracker = Tracker(whole, store, uri, lambda text: console.print(f"[yellow]warning:[/] {escape(text)}"))
    if plan.open:
        _execute(study, store, plan, tracker, address, console)
    records = report.records(whole, store)
    folder = report.write(whole, store, records)
    tracker.complete(records, folder)
    _show_report(folder)
    here = store.root == ROOT / "runs" and tracking_uri is None
    typer.echo(f"MLflow: {'make ui' if here else _ui(uri)}")
    if any(record["status"] in ("crashed", "missing") for record in records if record["seed"] in study.seeds):
        typer.echo("some trials crashed; the same command tries them again", err=True)
        raise typer.Exit(1)


def _execute(study: plans.Study, store: Store, plan: plans.Plan, tracker: Any, address: str | None, console: Console):
    from study import cluster, progress
    from study.sources import Arms

    cluster.quieten()
    if address:
        cluster.check_reached(address)
    from study.execute import execute

    try:
        with progress.Progress(plan, store, study.sweep.primary, console) as shown:
            execute(Arms([planned.trial for planned in plan.open], store), store, [shown, tracker], address=address)
    except KeyboardInterrupt:
        tracker.stop()
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None


def _show_report(folder: Path) -> None:
    typer.echo(f"\n{(folder / 'table.md').read_text().rstrip()}\n\nreport: {folder}")


def _ui(uri: str) -> str:
    """How to look at the record."""
    if uri.startswith("http"):
        return hidden(uri)
    ui = f"{sys.executable} -m mlflow ui --workers 1 --backend-store-uri {hidden(uri)}"
    return f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {ui}"


def _refuse(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    app()
