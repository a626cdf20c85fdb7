"""The global batch: gradients averaged by DistributedDataParallel, and a differentiable all-reduce for statistics."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def workers() -> int:
    """Processes that share the batch; 1 outside a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's place among the workers."""
    return dist.get_rank() if workers() > 1 else 0


class _AllReduceSum(torch.autograd.Function):
    """Sum over workers. Every worker's loss depends on the sum, so the gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def batch_mean(x: Tensor) -> Tensor:
    """Mean over the first axis and over workers (equal shares), differentiable on every worker."""
    mean = x.mean(0)
    return mean if workers() == 1 else _AllReduceSum.apply(mean) / workers()


def distributed(module: nn.Module) -> nn.Module:
    """`module`, with the gradients of its outputs averaged over workers; weights that get none may be in it.

    Every pass must use the same ones.
    """
    if workers() == 1:
        return module
    return DistributedDataParallel(module, broadcast_buffers=False, static_graph=True, gradient_as_bucket_view=True)


class GlobalBatchNorm(nn.BatchNorm1d):
    """BatchNorm1d over (N, C) with the statistics of all workers' rows (SyncBatchNorm refuses CPUs)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if not self.training or workers() == 1 else _normalised(self, x)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """The same over (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or workers() == 1:
            return super().forward(x)
        places = x.movedim(1, -1)
        return _normalised(self, places.flatten(0, -2)).view(places.shape).movedim(-1, 1)


def _normalised(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """x (N, C) by the statistics of all workers' rows, which become part of the running ones.

    In single precision at least: under autocast a network hands on less.
    """
    kind, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
    mean = batch_mean(x)
    variance = batch_mean((x - mean).square())
    rows = x.shape[0] * workers()
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * rows / (rows - 1), norm.momentum)
    return ((x - mean) * torch.rsqrt(variance + norm.eps) * norm.weight + norm.bias).to(kind)
