"""What a model raises when it is called, as one line for its user."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from msvit_energy.errors import EnergyError

PACKAGE = Path(__file__).parents[2]
PASSING = PACKAGE / "recording" / "function_mode.py"  # every torch function of a model passes through it
LAYOUT = re.compile(r"values to unpack|\b\dD\b|\[T, ?[NB]|number of dim|dimensional|Dimension out of range|\bdims?\b")
FORMAT = re.compile(r"Input type|same dtype|scalar type|must have the same dtype|not implemented for '(Byte|Long|Bool)")
SIZE = re.compile(
    r"channels|cannot be multiplied|must match|size mismatch|invalid for input of size|[Kk]ernel size|normalized_shape"
)


class RefusalError(EnergyError):
    """A model raised `error` when it was called with a tensor of `shape`."""

    def __init__(self, error: Exception, shape: Sequence[int]) -> None:
        self.error, self.shape = error, tuple(shape)
        super().__init__(f"the model, called with {list(shape)}, raises {complaint(error)}; {advice(error)}")


@dataclass(frozen=True)
class Refusal:
    """What a model raised for a batch of some shape, and how many torch functions ran before."""

    error: Exception
    shape: tuple[int, ...]
    functions: int


@contextmanager
def calling(inputs: Tensor) -> Iterator[None]:
    """A `with` block that only calls a model with `inputs`: RefusalError for what the model raises. Errors of what
    observes it stay what they are."""
    shape = tuple(inputs.shape)
    try:
        yield
    except EnergyError:
        raise
    except Exception as error:
        # torch raises for a killed process that loads images wherever the model is at that moment
        if _observer_failed(error.__traceback__) or str(error).startswith("DataLoader worker"):
            raise
        raise RefusalError(error, shape) from error


def _observer_failed(trace: TracebackType | None) -> bool:
    """Whether an error comes from this package's hooks, not from what they are on."""
    files = []
    while trace is not None:
        files.append(Path(trace.tb_frame.f_code.co_filename))
        trace = trace.tb_next
    inside = files[2:]  # behind `calling` and the block itself
    return any(file != PASSING and PACKAGE in file.parents for file in inside)


def telling(refusals: Sequence[Refusal]) -> Refusal:
    """The one that says most: of a wrong size rather than of a wrong number of axes, which other ways of feeding have;
    then that of the forward that got furthest."""
    return max(refusals, key=lambda each: (not LAYOUT.search(str(each.error)), each.functions))


def complaint(error: Exception) -> str:
    """What an error says, in one line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def advice(error: Exception) -> str:
    """What to try next."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return "give smaller batches"
    if FORMAT.search(text):
        return "give images in the number format of the weights, such as x.float() / 255"
    if LAYOUT.search(text):
        return "pass another feed=, or frames= and time_steps="
    if SIZE.search(text):
        return "check the channels and the size of the images"
    if isinstance(error, TypeError) and "argument" in text:
        return "wrap the model in a module whose forward takes one tensor"
    return "call the model with such a tensor to see the whole traceback"
