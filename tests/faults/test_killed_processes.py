"""SIGKILL of what a driver has started: the command itself goes on, and ends as if nothing had happened."""

from __future__ import annotations

import psutil
import pytest

from tests.faults._driver import PLANNER, TRIAL, WORKER
from tests.faults._studies import ARMS, SEARCH, draws, instants, kinds

several = pytest.mark.parametrize("number", range(instants(5, few=1)))


def kill_one(driver, title, draw):
    """SIGKILL one of its processes of that title, once there is one."""
    process = driver.until(lambda: next(iter(draw.sample(found := driver.processes(title), len(found))), None))
    process.kill()
    psutil.wait_procs([process])


@kinds(SEARCH)
@several
def test_a_killed_trial_goes_on_from_its_checkpoint(kind, number, undisturbed, tmp_path):
    study = kind.make(tmp_path)
    driver = study.start()
    driver.until(study.working)
    kill_one(driver, TRIAL, draws("trial", kind.name, number))
    study.end(driver, study.entries())
    assert driver.err.count("it is tried again") == 1
    study.check(undisturbed(kind)[0])


@kinds(ARMS)
@several
def test_a_killed_planning_actor_is_replaced(kind, number, undisturbed, tmp_path):
    study = kind.make(tmp_path)
    driver = study.start()
    kill_one(driver, f"{PLANNER}.apply", draws("planner", kind.name, number))
    study.end(driver, study.entries())
    study.check(undisturbed(kind)[0])


@kinds(ARMS)
@several
def test_a_killed_training_worker_is_replaced(kind, number, undisturbed, tmp_path):
    study = kind.make(tmp_path, executor="train")
    driver = study.start()
    driver.until(study.working)
    kill_one(driver, WORKER, draws("worker", kind.name, number))
    study.end(driver, study.entries())
    study.check(undisturbed(kind)[0])
