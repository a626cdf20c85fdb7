"""Run a sweep, look at its plan, or rebuild its report: `python study/run.py --sweep predictor_size`.

Exit code 0 when the study is complete, 1 when a trial crashed, 2 for bad input, 130 or 143 when it was stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.core import TyperCommand

import search_spaces
from study import interrupts, keep, report, status
from study import plan as plans
from study.drive import Places, Work, run
from study.failures import unwritable
from study.uris import check_artifacts, check_printable, default_uri, hidden, host_and_port
from study.uris import tracking_uri as chosen_uri
from trainables.paths import parse_settings
from trainables.remote import existing_store, open_store
from trainables.settings import ConfigError
from trainables.store import Store, StoreError, TakenOverError

MOST = 10_000  # seeds, or trials of a search
LONGEST = 1000  # characters of an error: what was given may be anything
ROOT = Path(__file__).resolve().parents[1]
TRACKING = "of MLflow, without a password; else $MLFLOW_TRACKING_URI, which may have one, else a database in the store"


def main(
    sweep: Annotated[str | None, typer.Option(help="search_spaces/<sweep>.py")] = None,
    list_: Annotated[bool, typer.Option("--list", help="show every sweep and end")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="show what would run and end")] = False,
    report_: Annotated[bool, typer.Option("--report", help="rebuild the tables from what there is and end")] = False,
    status_: Annotated[bool, typer.Option("--status", help="show how a study, or every one, fares and end")] = False,
    scale: Annotated[str, typer.Option(help="trainables/scales/<scale>.py")] = "local",
    world: Annotated[str | None, typer.Option(help="envs/<world>.py, the sweep's own otherwise")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="N", help="seeds 0 to N-1, the sweep's own otherwise")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value, any number of times")] = None,
    budget: Annotated[str | None, typer.Option(metavar="N", help="trials of each search, its own otherwise")] = None,
    at_most: Annotated[str | None, typer.Option(metavar="N", help="trials at a time, all that fit otherwise")] = None,
    store: Annotated[str, typer.Option(metavar="PATH or URI", help="everything that is kept lies below it")] = "runs",
    keep_: Annotated[str, typer.Option("--keep", help="weights of a complete study: all, best or none")] = "all",
    tracking_uri: Annotated[str | None, typer.Option(metavar="URI", help=TRACKING)] = None,
    artifacts: Annotated[str | None, typer.Option(metavar="URI", help="where MLflow keeps files")] = None,
    address: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="a Ray cluster; our own otherwise")] = None,
) -> None:
    """Run an ablation over world models, and go on with it by the same command."""
    try:
        _check_one_of({"--list": list_, "--plan": plan, "--report": report_, "--status": status_})
        if list_:
            return _list(sweep)
        uri = _check_places(store, tracking_uri, artifacts, address)
        keep.check(keep_)
        if status_ and sweep is None:
            return typer.echo(status.every(existing_store(store)))
        study = _study(sweep, scale, world, seeds, set_ or [])
        at_most, trials = _count("at-most", at_most), _count("budget", budget)
        if trials and not study.sweep.search:
            raise ConfigError(f"budget: {sweep} is no search, it has {len(study.trials)} trials; leave --budget out")
        if plan:
            return _show_plan(study, Work(study, existing_store(store), trials).plan)
        if status_:
            return typer.echo(status.one(study, existing_store(store)))
        if study.lacks and (not report_ or plans.tunes_each(study)):
            plans.check_runnable(study, existing_store(store))
        opened = open_store(store)
        if report_:
            return _show_report(Work(study, opened, trials).report(typer.echo)[0])
        report.check_writable(study, opened)
        uri = uri or default_uri(opened)
        places = Places(tracking_uri=uri, artifacts=artifacts, address=address, at_most=at_most, keep=keep_)
        _run(study, opened, trials, places)
    except (ConfigError, StoreError) as error:
        if unwritable(error):
            _stop(error)
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
    return plans.make_study(sweep, world=world, scale=scale, sets=parse_settings(sets), seeds=_count("seeds", seeds))


def _check_places(store: str, tracking_uri: str | None, artifacts: str | None, address: str | None) -> str | None:
    """ConfigError for a place that is none; MLflow's URI if one is given, by the option or by the environment."""
    places = {"store": store, "tracking-uri": tracking_uri, "artifacts": artifacts, "address": address}
    for option, given in places.items():
        check_printable(option, given or "")
    if not store.strip():
        raise ConfigError(f"store: {store!r} is no path")
    if artifacts is not None:
        check_artifacts(artifacts)
    if address is not None:
        host_and_port(address)
    return chosen_uri(tracking_uri)


def _count(option: str, text: str | None) -> int | None:
    """A number of things from the command line."""
    if text is None:
        return None
    if not text.removeprefix("-").isdecimal():
        raise ConfigError(f"{option}: {text!r} is no whole number")
    if len(text) > len(str(MOST)) or not 1 <= int(text) <= MOST:
        raise ConfigError(f"{option}: {text} is out of range, it is at least 1 and at most {MOST}")
    return int(text)


def _list(sweep: str | None) -> None:
    if sweep is not None:
        raise ConfigError(f"--list and --sweep {sweep}: the list is of every sweep; give --plan for what one would run")
    for name in search_spaces.names():
        sweep = search_spaces.load(name)
        trials = len(sweep.arms) * len(sweep.seeds)
        if sweep.search:
            trials = (sweep.search.budget + (1 + sweep.search.confirm) * len(sweep.seeds)) * len(sweep.strata)
        typer.echo(f"{name:22} {trials:3} trials  {sweep.question}")


def _show_plan(study: plans.Study, plan: plans.Plan) -> None:
    rows = [("trial", "arm", "seed", "changes", "state", "hours")]
    for planned in plan.planned:
        trial = planned.trial
        hours = f"{planned.hours:.2f}" if planned.state not in ("done", plans.NOT_RUN) else ""
        about = (plans.trial_id(trial), plans.changes(trial)) if planned.known else ("", "what the search finds")
        rows.append((about[0], trial.arm, str(trial.seed), about[1], planned.state, hours))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    typer.echo(f"{study.key}: {study.sweep.question}")
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo(plans.summary(plan))


def _run(study: plans.Study, store: Store, budget: int | None, places: Places) -> None:
    try:
        folder, complete = run(study, store, budget, places, lambda text: typer.echo(hidden(text)))
    except KeyboardInterrupt as stop:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(143 if isinstance(stop, interrupts.TerminatedError) else 130) from None
    except TakenOverError as error:
        _stop(error, "look how it fares: the same command with --status")
    except StoreError as error:
        _stop(error)
    except OSError as error:
        if not unwritable(error):
            raise
        _stop(f"the store cannot be written: {error}")
    _show_report(folder)
    here = store.root == ROOT / "runs" and places.tracking_uri == default_uri(store)
    typer.echo(f"MLflow: {'make ui' if here else _ui(places.tracking_uri)}")
    if not complete:
        typer.echo("some trials crashed; the same command tries them again", err=True)
        raise typer.Exit(1)


def _show_report(folder: Path) -> None:
    typer.echo(f"\n{(folder / 'table.md').read_text().rstrip()}\n\nreport: {folder}")


def _ui(uri: str) -> str:
    """How to look at the record."""
    if uri.startswith("http"):
        return hidden(uri)
    ui = f"{sys.executable} -m mlflow ui --workers 1 --backend-store-uri {hidden(uri)}"
    return f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {ui}"


def _stop(why: object, then: str = "the same command goes on from here once that is mended") -> NoReturn:
    typer.echo(f"error: {hidden(str(why))}; {then}", err=True)
    raise typer.Exit(1) from None


def _refuse(message: str) -> NoReturn:
    """One line, whatever was given."""
    line = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in " ".join(hidden(message).split()))
    shown = line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    typer.echo(f"error: {shown}", err=True)
    raise typer.Exit(2)


class Command(TyperCommand):
    """What the parser itself refuses is said without its secrets, too."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """See typer; it says of an argument that has no place here what that is."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # of typer or of click, by version
            if isinstance(said := getattr(error, "message", None), str):
                error.message = hidden(said)
            raise


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command(cls=Command)(main)

if __name__ == "__main__":
    app()
