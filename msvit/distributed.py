"""Several processes at one task, as torchrun starts them. In a process alone, nothing here does anything."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler, Dataset, SequentialSampler

from msvit.classifier import SpikingClassifier
from msvit.heartbeat import Heartbeat

Value = TypeVar("Value")
PATIENCE = timedelta(hours=2)  # data sets may be converted when they are opened first


@contextmanager
def together() -> Iterator[None]:
    """Join the processes of this torchrun for the length of a `with` block; only the first prints. One that is lost
    ends the others."""
    with_gpu = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if with_gpu else "gloo", timeout=PATIENCE)
    heartbeat = Heartbeat(rank(), ranks())
    heartbeat.start()
    try:
        with ExitStack() as stack:
            if rank():
                nowhere = stack.enter_context(open(os.devnull, "w"))  # noqa: PTH123
                stack.enter_context(redirect_stdout(nowhere))
                stack.enter_context(redirect_stderr(nowhere))
            yield
    finally:
        heartbeat.stop()
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process; the first, 0, writes and prints."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def share(items: Sequence[Value]) -> Sequence[Value]:
    """This process's part of `items`: consecutive ones, each in one process only."""
    return items[len(items) * rank() // ranks() : len(items) * (rank() + 1) // ranks()]


def shared_batches(dataset: Dataset[Any], size: int) -> Sequence[list[int]]:
    """This process's part of a data set in order, as indices of whole batches: those that one process would have."""
    return share(list(BatchSampler(SequentialSampler(dataset), size, drop_last=False)))  # type: ignore[arg-type]


def gathered(value: Value) -> list[Value]:
    """The value of every process, in order."""
    if ranks() == 1:
        return [value]
    values: list[Any] = [None] * ranks()
    dist.all_gather_object(values, value)
    return values


def from_first(make: Callable[[], Value]) -> Value:
    """What the first process makes, for all. If it fails, it says why, and the others end."""
    if ranks() == 1:
        return make()
    answer: list[Any] = [False, None]
    try:
        if rank() == 0:
            answer = [True, make()]
    finally:
        dist.broadcast_object_list(answer)
    if not answer[0]:
        raise SystemExit(2)
    value: Value = answer[1]
    return value


def first_ahead(make: Callable[[], Value]) -> Value:
    """What each process makes, the others after the first, which may leave files for them."""
    if rank():
        dist.barrier()
    made = make()
    if rank() == 0 and ranks() > 1:
        dist.barrier()
    return made


def any_says(*flags: bool) -> tuple[bool, ...]:
    """Flag by flag, whether any process says so."""
    if ranks() == 1:
        return flags
    anywhere = torch.tensor(flags, dtype=torch.uint8)
    dist.all_reduce(anywhere, dist.ReduceOp.MAX)
    return tuple(map(bool, anywhere.tolist()))


def parallel(model: SpikingClassifier, device: str) -> nn.Module:
    """The model, whose gradients become the mean over all processes."""
    if ranks() == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel  # with which a second of imports comes

    devices = [torch.device(device)] if device.startswith("cuda") else None
    return DistributedDataParallel(model, devices, find_unused_parameters=bool(unread(model)))


def unread(model: SpikingClassifier) -> list[str]:
    """Weights that nothing reads, such as some official models have; found on the meta device."""
    shape = deepcopy(model).to("meta").eval()
    images = torch.empty(1, *model.input_size, device="meta", dtype=next(model.parameters()).dtype)
    shape(images).sum().backward()
    return [name for name, weights in shape.named_parameters() if weights.grad is None]


def synchronize_batch_norm(model: nn.Module, device: str) -> None:
    """Replace the batch norms: statistics in training become those of the images of all processes together."""
    if ranks() == 1:
        return
    if device.startswith("cuda"):
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                setattr(module, name, SyncBatchNorm.like(child))


class _Sum(torch.autograd.Function):
    """Sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class SyncBatchNorm(_BatchNorm):
    """What torch.nn.SyncBatchNorm does, which is for GPUs only, on the CPU: by two sums over all processes."""

    @classmethod
    def like(cls, norm: _BatchNorm) -> "SyncBatchNorm":
        """With the parameters and statistics of another batch norm."""
        own = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        own.weight, own.bias = norm.weight, norm.bias
        own.running_mean, own.running_var = norm.running_mean, norm.running_var
        own.num_batches_tracked = norm.num_batches_tracked
        return own.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, ...]`, batches of one size in all processes."""
        if not self.training:
            return super().forward(x)
        x, kind = x if x.dtype == torch.float64 else x.float(), x.dtype
        axes = [axis for axis in range(x.dim()) if axis != 1]
        seen = x.numel() // x.shape[1] * ranks()
        mean: Tensor = _Sum.apply(x.sum(axes, keepdim=True)) / seen
        centred = x - mean
        variance: Tensor = _Sum.apply(centred.square().sum(axes, keepdim=True)) / seen
        self._remember(mean.detach().flatten(), variance.detach().flatten() * (seen / max(1, seen - 1)))
        scale = self.weight.view_as(mean) * (variance + self.eps).rsqrt()
        return (centred * scale + self.bias.view_as(mean)).to(kind)

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions."""

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
