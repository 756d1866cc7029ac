"""What a batch holds, in whatever form it comes: images and, where it has them, labels."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msvit_energy.errors import EnergyError

INPUTS = "pixel_values images image imgs img inputs input x data frames input_values input_features input_ids".split()
LABELS = ("labels", "label", "targets", "target", "y")
FORMS = "a batch is a tensor, an array, a list of PIL images, or a dict or tuple that holds one"


def read_batch(batch: Any, key: str | int | None = None) -> tuple[Tensor, Tensor | None]:
    """The images `[B, ...]` of a batch, and its labels `[B]`, None if it has none.

    A tensor or array is the images, and so is a list of PIL images, in [0, 1]. Of a tuple or list the first tensor is,
    and the first integer tensor `[B]` behind it the labels. Of a dict both have one of the usual names, or the images
    are its only tensor. `key` names the images in a dict, or counts from 0 to them in a tuple. EnergyError for anything
    else, and where several names may be meant.
    """
    inputs, others = _inputs(batch, key)
    if inputs.dim() == 0:
        raise EnergyError("a batch is [B, ...], not a single number")
    if inputs.is_meta:
        raise EnergyError(f"images {list(inputs.shape)} are on the meta device and have no values")
    if isinstance(others, Mapping):
        return inputs, _named_labels(others, len(inputs))
    return inputs, next((found for each in others if (found := _labels(each, len(inputs))) is not None), None)


def _inputs(batch: Any, key: str | int | None) -> tuple[Tensor, Mapping[str, Any] | Sequence[Any]]:
    """The images of a batch, and what may be its labels."""
    if isinstance(batch, Mapping):
        name = _name_of_inputs(batch, key)
        if (found := _tensor(batch[name])) is None:
            raise EnergyError(f"{name!r} of a batch is a {_kind(batch[name])}; {FORMS}")
        return found, {other: value for other, value in batch.items() if other != name}
    if (found := _tensor(batch, listed=False)) is not None:
        if key is not None:
            raise EnergyError(f"input_key={key!r} is for batches that are dicts or tuples, not a {_kind(batch)}")
        return found, ()
    if isinstance(batch, list | tuple):
        return _first_inputs(batch, key)
    raise EnergyError(f"{FORMS}, not a {_kind(batch)}")


def _first_inputs(batch: Sequence[Any], key: str | int | None) -> tuple[Tensor, Mapping[str, Any] | Sequence[Any]]:
    if isinstance(key, int):
        found = _tensor(batch[key]) if 0 <= key < len(batch) else None
        if found is None:
            raise EnergyError(f"part {key} of a batch is no tensor; its parts are {', '.join(map(_kind, batch))}")
        return found, batch[key + 1 :]
    _check_joined(batch)
    for number, part in enumerate(batch):
        if _holds_inputs(part):
            inputs, inside = _inputs(part, None if isinstance(part, Tensor | np.ndarray) else key)
            return inputs, batch[number + 1 :] or inside
    raise EnergyError(f"{FORMS}, not one of {', '.join(map(_kind, batch)) or 'nothing'}")


def _check_joined(batch: Sequence[Any]) -> None:
    """EnergyError for samples that were not joined to a batch."""
    if batch and all(isinstance(part, Mapping | list | tuple) and _holds_inputs(part) for part in batch):
        raise EnergyError(
            f"a list of {len(batch)} samples is no batch; join them, such as by torch.utils.data.default_collate"
        )
    tensors = [part for part in batch if isinstance(part, Tensor) and part.is_floating_point()]
    if len(batch) > 2 and len(tensors) == len(batch) and len({part.shape for part in tensors}) == 1:
        raise EnergyError(
            f"{len(batch)} tensors of shape {list(tensors[0].shape)} may be samples or one batch each; stack them, or "
            "pass input_key="
        )


def _holds_inputs(part: Any) -> bool:
    """Whether a part of a tuple may be the images, or have them inside."""
    if isinstance(part, Mapping) or _tensor(part, listed=False) is not None:
        return True
    return isinstance(part, list | tuple) and any(map(_holds_inputs, part))


def _name_of_inputs(batch: Mapping[str, Any], key: str | int | None) -> str | int:
    """Where a dict has the images."""
    if key is not None:
        if key not in batch:
            raise EnergyError(f"batches have no key {key!r}; they have {_listed(batch)}")
        return key
    tensors = [name for name, value in batch.items() if _tensor(value) is not None]
    usual = [name for name in tensors if name in INPUTS]
    found = usual or [name for name in tensors if name not in LABELS]
    if len(found) != 1:
        several = f"several may be the images: {_listed(found)}" if found else "none is a tensor of images"
        raise EnergyError(f"of a batch with the keys {_listed(batch)} {several}; pass input_key=")
    return found[0]


def _named_labels(others: Mapping[str, Any], images: int) -> Tensor | None:
    """The labels among what a dict has beside the images."""
    found = {name: each for name in LABELS if (each := _labels(others.get(name), images)) is not None}
    if len(found) > 1:
        raise EnergyError(f"several keys of a batch may be its labels: {_listed(found)}; give (images, labels)")
    return next(iter(found.values()), None)


def _labels(value: Any, images: int) -> Tensor | None:
    """A tensor, array or list of whole numbers `[B]`."""
    found = _tensor(value)
    integers = found is not None and not (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool)
    return found if found is not None and integers and tuple(found.shape) == (images,) else None


def _tensor(value: Any, *, listed: bool = True) -> Tensor | None:
    """A tensor, an array, or a list of PIL images as one; with `listed` a list of tensors or numbers too."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc":
            return None
        return torch.from_numpy(np.require(value, requirements=("C", "W")))  # for torch no other can be shared
    if not isinstance(value, list | tuple) or not value:
        return None
    if all(_is_picture(each) for each in value):
        return _of_pictures(value)
    return _of_list(value) if listed else None


def _of_list(value: Sequence[Any]) -> Tensor | None:
    """A list of whole numbers, or of tensors that can be stacked."""
    if all(isinstance(each, int | np.integer) for each in value):
        return torch.tensor([operator.index(each) for each in value])
    parts = [] if isinstance(value[0], list | tuple) else [_tensor(each) for each in value]
    tensors = [part for part in parts if part is not None]
    alike = len(tensors) == len(value) and len({(each.shape, each.dtype) for each in tensors}) == 1
    return torch.stack(tensors) if alike else None


def _is_picture(value: Any) -> bool:
    """Whether a value is a PIL image, without importing Pillow for what is none."""
    return any(kind.__module__ == "PIL.Image" for kind in type(value).__mro__)


def _of_pictures(pictures: Sequence[Any]) -> Tensor:
    """`[B, C, H, W]`, bytes divided by 255; EnergyError for several sizes or modes."""
    from torchvision.transforms.functional import to_tensor

    kinds = dict.fromkeys(f"{each.mode} {each.width} x {each.height}" for each in pictures)
    if len(kinds) > 1:
        raise EnergyError(
            f"images of a batch have one size and one mode, not {', '.join(kinds)}; resize and convert them"
        )
    return torch.stack([to_tensor(each) for each in pictures])


def _kind(value: Any) -> str:
    return type(value).__name__


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))
