"""Two gloo processes with half the batch each against one with the whole."""

import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from envs._episodes import Clips, Episodes
from trainables import collective, plugins, training
from trainables.collective import GlobalBatchNorm, batch_mean
from trainables.paths import assign


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


def _train(config, data, kind, steps, file):
    """The gradients of the first step and the loss of the first `steps`, in numbers of that kind."""
    build, training.build = training.build, lambda *given: build(*given).to(kind)
    try:
        clips = Clips(Episodes(data["train"]), config.clip, config.frameskip)
        run = training.Run(config, clips, Episodes(data["validation"]))
    finally:
        training.build = build
    run.advance()
    gradients = {name: p.grad.clone() for name, p in run.model.named_parameters() if p.grad is not None}
    for _ in range(steps - 1):
        run.advance()
    if collective.rank() == 0:
        torch.save({**gradients, "loss": run.history["loss"]}, file)


def _compared(config, data, kind, steps, folder):
    """The largest difference between one worker's and two workers' gradients, in units of the largest one; losses."""
    _train(config, data, kind, steps, folder / "one.pt")
    in_processes(2, _train, config, data, kind, steps, folder / "two.pt")
    one, two = (torch.load(folder / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    losses = one.pop("loss"), two.pop("loss")
    assert one.keys() == two.keys() and len(one) > 15 and len(losses[0]) == steps
    largest = max(gradient.abs().max().item() for gradient in one.values())
    return max((one[name] - two[name]).abs().max().item() for name in one) / largest, losses


@pytest.fixture
def steady(tiny):
    """Without dropout, whose masks differ between workers, and at the published learning rate: Adam's first updates
    are the signs of gradients, and where a gradient is zero but for rounding (a bias before BatchNorm) it is noise."""
    return lambda method: tiny(method, predictor__dropout=0.0, optim__steps=2000, optim__lr=1e-4, optim__clip=1e9)


@pytest.mark.parametrize("method", plugins.names("methods"))
def test_two_workers_give_one_workers_gradients_and_losses(method, steady, data, tmp_path):
    config = steady(method)
    apart, losses = _compared(config, data(config), torch.float64, 3, tmp_path)
    assert apart <= 1e-9
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)  # the record is in single precision


@pytest.mark.parametrize("method", ["smwm", "lewm"])
def test_in_single_precision_two_workers_give_one_workers_first_twenty_losses(method, steady, data, tmp_path):
    config = steady(method)
    apart, losses = _compared(config, data(config), torch.float32, 20, tmp_path)
    assert apart <= 1e-4  # what rounding leaves
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-5)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize("path", ["terms.inverse.weight", "terms.forward.weight", "terms.forward"])
def test_weights_that_get_no_gradient_are_left_alone_on_two_workers_as_on_one(path, steady, data, tmp_path):
    config = assign(steady("smwm"), path, 0.0 if path.endswith("weight") else None)
    apart, losses = _compared(config, data(config), torch.float64, 3, tmp_path)
    assert apart <= 1e-9 and losses[1] == pytest.approx(losses[0], rel=1e-6)


def test_a_resnet_normalises_over_both_workers_images(steady, data, tmp_path):
    config = assign(steady("lewm"), "encoder", {"name": "resnet18", "width": 8})
    apart, losses = _compared(config, data(config), torch.float64, 3, tmp_path)
    assert apart <= 1e-9 and losses[1] == pytest.approx(losses[0], rel=1e-6)


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


def test_what_comes_in_half_precision_is_normalised_in_single_precision():
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)).bfloat16() + 100
    norm, plain = GlobalBatchNorm(5), torch.nn.BatchNorm1d(5)
    found = collective._normalised(norm, x)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), plain(x.float()), atol=2e-2)
    assert torch.allclose(norm.running_var, plain.running_var) and torch.allclose(norm.running_mean, plain.running_mean)
