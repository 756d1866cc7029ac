"""The history of a run for TensorBoard, which is an optional package."""

from collections.abc import Callable
from pathlib import Path

from msvit.errors import ModelError
from msvit.training.loop import Epoch

PATTERN = "events.out.tfevents.*"


def board(folder: Path) -> Callable[[Epoch], None]:
    """A function that adds an epoch's numbers to the event file of this run; ModelError without the package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModelError("tensorboard=true needs a package: pip install tensorboard") from error
    writer = SummaryWriter(folder)

    def add(epoch: Epoch) -> None:
        numbers = epoch.record()
        step = int(numbers.pop("number"))
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return add
