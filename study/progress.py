"""How a study is getting on: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from search_spaces._sweep import Trial
from study.plan import NOT_RUN, Plan

PLAIN_SECONDS = 30.0  # between lines about what is running, where there is no terminal


class Progress:
    """Context manager and listener of `execute`; `primary` is the number shown of a finished trial."""

    def __init__(self, plan: Plan, primary: str, console: Console):
        self._primary, self._console = primary, console
        self._hours = {planned.trial.place: planned.hours for planned in plan.open}
        self._total, self._done = len(plan.planned) - plan.count(NOT_RUN), plan.count("done")
        self._failed, self._recording = 0, ""
        self._running: dict[tuple[str, int], dict[str, Any]] = {}
        self._began, self._spent, self._expected, self._said = time.monotonic(), 0.0, 0.0, time.monotonic()
        self._traces: dict[tuple[str, int], tuple[str, str]] = {}
        self._live = Live(get_renderable=self._display, console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._say(f"{len(self._hours)} trials to run")
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def collecting(self, what: str, done: int, total: int) -> None:
        """Episodes are being recorded."""
        self._recording = f"recording {what}: {done}/{total} episodes" if done < total else ""
        if done == total:
            self._say(f"recorded {what}: {total} episodes")
        elif not self._console.is_terminal and time.monotonic() - self._said > PLAIN_SECONDS:
            self._say(self._recording)

    def started(self, trial: Trial) -> None:
        """A trial has its resources."""
        self._running[trial.place] = {"since": time.monotonic(), "event": {"phase": "start"}, "train": None}

    def reported(self, trial: Trial, report: dict[str, Any]) -> None:
        """A trial got on, or warns."""
        row, event = self._running[trial.place], report["event"]
        row["event"] = event
        if event["phase"] == "train" and not row["train"]:
            row["train"] = (time.monotonic(), event["step"])
        for warning in report["warnings"]:
            self._say(f"warning: {trial.arm}, seed {trial.seed}: {warning}")
        if not self._console.is_terminal and time.monotonic() - self._said > PLAIN_SECONDS:
            self._say("; ".join(_line(*item) for item in self._running.items()) + f"; {self.counts()}, {self._left()}")

    def again(self, trial: Trial, why: str) -> None:
        """A trial crashed and is started again."""
        self._running.pop(trial.place, None)
        self._say(f"{trial.arm}, seed {trial.seed}: {why}; it is tried again")

    def waits(self, what: str) -> None:
        """Nothing happens until the cluster has more."""
        self._say(what)

    def finished(self, trial: Trial, record: dict[str, Any]) -> None:
        """A trial is over."""
        row = self._running.pop(trial.place, None)  # None if its process died before it began
        seconds = time.monotonic() - row["since"] if row else 0.0
        self._spent += seconds
        self._expected += self._hours.pop(trial.place, 0.0) * 3600
        crashed = record["status"] in ("crashed", "missing")
        self._done, self._failed = self._done + (not crashed), self._failed + crashed
        value = record["measures"].get(self._primary)
        result = "" if value is None else f"  {self._primary} {value:.3g}"
        why = f"  {record['error'].strip().splitlines()[-1]}" if record["error"] else ""
        place = f"[{self._done + self._failed}/{self._total}]"
        self._say(f"{place} {trial.arm}, seed {trial.seed}: {record['status']}{result}  ({seconds:.0f} s){why}")
        self._compare(trial, record)

    def counts(self) -> str:
        """Trials done, running, waiting, crashed."""
        waiting = len(self._hours) - len(self._running)
        crashed = f", {self._failed} crashed" if self._failed else ""
        return f"{self._done} done, {len(self._running)} running, {waiting} waiting{crashed}"

    def _compare(self, trial: Trial, record: dict[str, Any]) -> None:
        """Say at once when two arms turn out to be the same."""
        if not record.get("trace"):
            return
        arm, twin = self._traces.setdefault((record["trace"], trial.seed), (trial.arm, record["trial"]))
        if twin != record["trial"]:
            self._say(f"warning: arms {arm} and {trial.arm} trained to the same losses and weights")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _display(self) -> Table:
        table = Table.grid(padding=(0, 2))
        if self._recording:
            table.add_row(self._recording)
        for key, row in list(self._running.items()):  # drawn by a thread
            table.add_row(_line(key, row))
        table.add_row(f"{self.counts()}; {self._left()}")
        return table

    def _left(self) -> str:
        """Time left, from the plan's hours and how they have held so far."""
        pace = self._spent / self._expected if self._expected else 1.0
        under_way = sum(time.monotonic() - row["since"] for row in list(self._running.values()))
        work = max(0.0, sum(list(self._hours.values())) * 3600 * pace - under_way)
        return f"about {duration(work / max(1, len(self._running)))} left"


def duration(seconds: float) -> str:
    """ "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _line(key: tuple[str, int], row: dict[str, Any]) -> str:
    event = row["event"]
    what = {
        "train": lambda: f"step {event['step']}/{event['steps']}  loss {event['loss']:.4g}{_step_time(row)}",
        "data": lambda: f"recording {event['split']} episodes {event['done']}/{event['total']}",
        "features": lambda: f"features of {event['split']} frames {event['done']}/{event['total']}",
        "measure": lambda: f"measuring {event['measure']}",
    }.get(event["phase"], lambda: "starting")()
    return f"{key[0]}, seed {key[1]}: {what}"


def _step_time(row: dict[str, Any]) -> str:
    """Time left in this training, from the steps seen so far."""
    since, first = row["train"] or (0.0, 0)
    done = row["event"]["step"] - first
    if not row["train"] or done <= 0:
        return ""
    left = (row["event"]["steps"] - row["event"]["step"]) * (time.monotonic() - since) / done
    return f"  {duration(left)} of training left"
