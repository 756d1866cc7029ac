"""The history of a run for TensorBoard, which is an optional package."""

from collections.abc import Callable, Sequence
from pathlib import Path

from msvit.errors import ModelError
from msvit.training.history import Epoch

PATTERN = "events.out.tfevents.*"


def event_writer(folder: Path) -> Callable[[Sequence[Epoch]], None]:
    """A function that adds the last epoch's numbers to the event file of this run; ModelError without the package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModelError("tensorboard=true needs a package: pip install tensorboard") from error
    writer = SummaryWriter(folder)

    def add(history: Sequence[Epoch]) -> None:
        numbers = history[-1].record()
        step = int(numbers.pop("number"))
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return add
