"""Statistics over the global batch: a differentiable all-reduce, the mean over workers, and BatchNorm on top of it."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn


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


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace each worker's gradients by their mean, in one message."""
    if workers() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= workers()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


class GlobalBatchNorm(nn.BatchNorm1d):
    """BatchNorm1d over (N, C) with the statistics of all workers' rows (SyncBatchNorm refuses CPUs)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or workers() == 1:
            return super().forward(x)
        mean = batch_mean(x)
        variance = batch_mean((x - mean).square())
        rows = x.shape[0] * workers()
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * rows / (rows - 1), self.momentum)
        return (x - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias
