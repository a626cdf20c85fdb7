"""Two gloo processes with half the batch each against one with the whole."""

import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from envs._episodes import Clips, Episodes
from trainables import collective, training
from trainables.collective import GlobalBatchNorm, batch_mean


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_processes(workers, function, *arguments):
    mp.spawn(_joined, (workers, free_port(), function, *arguments), nprocs=workers)


def _joined(rank, workers, port, function, *arguments):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=workers)
    try:
        function(*arguments)
    finally:
        dist.destroy_process_group()


def _train(config, data, steps, file):
    """The loss of the first steps and the last step's gradients."""
    run = training.Run(config, Clips(Episodes(data["train"]), 2, config.frameskip), Episodes(data["validation"]))
    for _ in range(steps):
        run.advance()
    if collective.rank() == 0:
        named = run.model.named_parameters()
        torch.save({name: p.grad for name, p in named if p.grad is not None} | {"loss": run.history["loss"]}, file)


@pytest.fixture
def steady(tiny):
    """Without dropout, whose masks differ between workers, and at the published learning rate: Adam's first updates
    are the signs of gradients, and where a gradient is zero but for rounding (a bias before BatchNorm) it is noise."""
    return lambda method: tiny(method, predictor__dropout=0.0, optim__steps=2000, optim__lr=1e-4, optim__clip=1e9)


@pytest.mark.parametrize("method", ["smwm", "lewm"])
def test_two_workers_give_one_workers_gradients_and_first_twenty_losses(method, steady, data, tmp_path):
    config = steady(method)
    for steps in (1, 20):
        _train(config, data(config), steps, tmp_path / f"one-{steps}.pt")
        in_processes(2, _train, config, data(config), steps, tmp_path / f"two-{steps}.pt")
    one, two = (torch.load(tmp_path / f"{name}-1.pt", weights_only=True) for name in ("one", "two"))
    losses = [torch.load(tmp_path / f"{name}-20.pt", weights_only=True)["loss"] for name in ("one", "two")]
    assert len(losses[0]) == 20 and losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert one.pop("loss") == pytest.approx(two.pop("loss"), rel=1e-5)
    assert one.keys() == two.keys() and len(one) > 20
    largest = max(gradient.abs().max().item() for gradient in one.values())
    for name in one:
        assert (one[name] - two[name]).abs().max().item() <= 1e-4 * largest, name


def _norm(x, weight, file):
    rows = slice(collective.rank(), None, collective.workers())
    norm = GlobalBatchNorm(x.shape[1])
    part = x[rows].clone().requires_grad_()
    loss = (norm(part) * weight[rows]).sum(1).mean() + batch_mean(part).square().sum()
    loss.backward()
    parts = [torch.zeros_like(part) for _ in range(collective.workers())]
    if collective.workers() > 1:
        dist.all_gather(parts, part.grad / collective.workers())
    else:
        parts = [part.grad]
    if collective.rank() == 0:
        grad = torch.stack(parts, dim=1).flatten(0, 1)
        torch.save({"grad": grad, "mean": norm.running_mean, "var": norm.running_var}, file)


def test_batch_norm_and_the_mean_over_two_workers_are_those_of_the_whole_batch(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(12, 5, generator=generator) for _ in range(2))
    _norm(x, weight, tmp_path / "one.pt")
    in_processes(2, _norm, x, weight, tmp_path / "two.pt")
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    for name in one:
        assert torch.allclose(one[name], two[name], atol=1e-5), name
