"""Measure what was opened on the images that were asked for, and say where the profile comes from."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from msvit_energy.errors import EnergyError

if TYPE_CHECKING:
    from msvit.data import Source
    from msvit_energy import Profile
    from msvit_energy.commands.opening import Subject


@dataclass(frozen=True)
class Sampling:
    """Which images are drawn from where, and how many go through the model at a time."""

    data: str
    images: int | None = None
    batch_size: int = 32
    seed: int = 0
    input_size: str | None = None
    shuffle: bool = False
    shard: tuple[int, int] = (0, 1)
    time_steps: int | None = None  # frames of event data; None: the model's own T

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise EnergyError(f"batch size must be at least 1, not {self.batch_size}")

    def source(self, subject: "Subject") -> "Source":
        """The images, in the size that the model takes."""
        from msvit.data import open_data

        return open_data(
            self.data,
            subject.size(self.input_size),
            images=self.images,
            seed=self.seed,
            shuffle=self.shuffle,
            shard=self.shard,
            time_steps=self.time_steps or getattr(subject.model, "time_steps", None),
        )


def measure(subject: "Subject", source: "Source", sampling: Sampling, **options: Any) -> "Profile":
    """Profile with a progress bar; `options` go to `msvit_energy.profile`."""
    from torch.utils.data import DataLoader

    import msvit_energy
    from msvit_energy.commands.progress import progress_bar
    from msvit_energy.provenance import command_line, environment

    batches = (tuple(batch) for batch in DataLoader(source.dataset, sampling.batch_size))
    with progress_bar("profiling", len(source)) as advance:
        measured = msvit_energy.profile(subject.model, batches, classes=source.classes, on_batch=advance, **options)
    described = describe_data(source, sampling.seed, measured.images)
    provenance = subject.origin | {"data": described, "batch_size": sampling.batch_size}
    warnings = [*subject.warnings, *source.warnings]
    return replace(measured, provenance=provenance | environment(command_line()) | {"warnings": warnings})


def describe_data(source: "Source", seed: int, images: int) -> dict[str, Any]:
    """The data's part of the provenance, of the first `images` that were used."""
    from msvit_energy.indices import write_ranges

    return {
        "name": source.name,
        "split": source.split,
        "drawn": source.drawn,
        "indices": write_ranges(source.indices[:images]),
        "preprocessing": source.preprocessing,
        "input_size": list(source.input_size),
        "seed": seed,
    }
