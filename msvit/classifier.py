"""What every model of this package has in common: T, the input it takes, how it was built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from msvit.errors import ModelError


@dataclass(frozen=True)
class ModelSpec:
    """How a model was built: registry name and keyword arguments; `create_model(name, **args)` builds it again."""

    name: str = ""
    args: dict[str, Any] = field(default_factory=dict)


class SpikingClassifier(nn.Module):
    """A spiking network that classifies images `[B, C, H, W]`, repeated over T, or event frames `[B, T, C, H, W]`.

    `time_steps` may be changed at any time. `spec` is set by the registry. T below 1 raises ModelError.
    `optional_weights` are arguments that add weights, each with a key that the state dict then has. `other_names` leads
    from the keys that another library gives to the same weights to the official ones, by patterns and replacements.
    """

    total_stride: int
    spec: ModelSpec
    optional_weights: ClassVar[Mapping[str, str]] = {}
    other_names: ClassVar[Sequence[tuple[str, str]]] = ()

    def __init__(self, *, img_size: int | tuple[int, int], in_chans: int, num_classes: int, time_steps: int) -> None:
        super().__init__()
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.input_size = (in_chans, height, width)  # what it was built for; other sizes work too
        self.in_chans, self.num_classes = in_chans, num_classes
        self.time_steps = time_steps
        self.spec = ModelSpec()

    @property
    def time_steps(self) -> int:
        return self._time_steps

    @time_steps.setter
    def time_steps(self, value: int) -> None:
        if value < 1:
            raise ModelError(f"time steps must be at least 1, not {value}")
        self._time_steps = value

    def frames(self, x: Tensor) -> Tensor:
        """Images (a view repeated over T) or event frames -> `[T, B, C, H, W]`; ModelError if they do not fit."""
        if x.dim() == 4:
            x = x.unsqueeze(0).expand(self.time_steps, -1, -1, -1, -1)
        elif x.dim() == 5 and x.shape[1] == self.time_steps:
            x = x.transpose(0, 1)
        else:
            raise ModelError(
                f"input of shape {tuple(x.shape)} is neither an image batch [B, C, H, W] nor event frames "
                f"[B, T, C, H, W] with T = {self.time_steps}"
            )
        channels, height, width = x.shape[2:]
        if channels != self.in_chans:
            raise ModelError(f"input has {channels} channels, the model takes {self.in_chans}")
        if min(height, width) < self.total_stride:
            raise ModelError(
                f"input of {height} x {width} is smaller than the model's total stride {self.total_stride}"
            )
        return x
