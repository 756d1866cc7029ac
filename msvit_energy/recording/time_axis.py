"""Where the tensors of a forward have time and images."""

from dataclasses import dataclass

from torch import Tensor

from msvit_energy.errors import EnergyError


@dataclass(frozen=True)
class TimeAxis:
    """One forward runs over `steps` time steps (T, or 1 for a model that is called T times) of `images` images, B.

    A tensor in it is `[T*B, ...]`, `[T, B, ...]` or, constant in time, `[B, ...]`.
    """

    steps: int
    images: int

    def split(self, values: Tensor, rank: int | None = None, name: object = "") -> Tensor:
        """`values` as `[T or 1, B, ...]`; EnergyError, about `name`, for a tensor that belongs to no image.

        `rank` is the number of axes without a time axis of its own, None where that is free. Parts of each image in a
        row, such as windows of attention, become one more axis.
        """
        steps, images, shape = self.steps, self.images, tuple(values.shape)
        if len(shape) > 2 and len(shape) != rank and shape[:2] == (steps, images):
            return values
        if shape[:1] == (steps * images,):
            return values.unflatten(0, (steps, images))
        if shape[:1] == (images,):
            return values.unsqueeze(0)
        if shape and shape[0] % (steps * images) == 0:
            return values.unflatten(0, (steps, images, -1))
        raise EnergyError(
            f"{name}: a tensor of shape {shape} has neither T*B = {steps * images} nor T, B = {steps}, {images} nor "
            f"B = {images} in front; is time_steps = {steps} right?"
        )

    def steps_in(self, values: Tensor, rank: int | None = None) -> int | None:
        """Time steps in a tensor; None for one that belongs to no image."""
        try:
            return self.split(values, rank).shape[0]
        except EnergyError:
            return None

    def split_images(self, values: Tensor, rank: int | None, name: str) -> Tensor:
        """As `split`; EnergyError where each image is in parts, which have no common map."""
        split = self.split(values, rank, name)
        if split.dim() > values.dim() + 1:
            shape = tuple(values.shape)
            raise EnergyError(f"{name}: an output of shape {shape} has parts of images in a row and no map")
        return split

    def check_sequence(self, values: Tensor, name: str) -> None:
        """EnergyError if the output of a multi-step neuron is neither over T nor over T and images as one axis."""
        shape = tuple(values.shape)
        merged = shape[0] == self.steps * self.images and shape[1:2] != (self.images,)
        if shape[0] != self.steps and not merged:
            steps = self.steps
            raise EnergyError(f"{name} runs over {shape[0]} time steps, not {steps}; is time_steps = {steps} right?")
