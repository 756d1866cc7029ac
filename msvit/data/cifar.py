"""CIFAR10 and CIFAR100 from their unpacked "python version", read and checked by torchvision."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import check_integrity

from msvit.errors import ModelError

__all__ = ["CIFAR10", "CIFAR100", "open_cifar"]


def open_cifar(kind: type[CIFAR10], root: Path, split: str, transform: Callable[[Any], Any] | None = None) -> CIFAR10:
    """The images as (PIL image through `transform`, label); `root` holds the folder that the archive unpacks to, or is
    that folder. ModelError says which files are missing, or damaged by their MD5 sums."""
    place = root.parent if root.name == kind.base_folder else root
    try:
        with warnings.catch_warnings():
            # the published files were pickled by Python 2, whose way to write a dtype NumPy 2.4.0 warns of
            warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
            return kind(str(place), train=split == "train", transform=transform)
    except RuntimeError as error:
        raise ModelError(_what_is_wrong(kind, place / kind.base_folder)) from error


def _what_is_wrong(kind: type[CIFAR10], folder: Path) -> str:
    published = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    names = ", ".join(name for name, _ in published)
    source = f"{kind.filename} from the CIFAR page of the University of Toronto"
    if missing := [name for name, _ in published if not (folder / name).is_file()]:
        return f"no {', '.join(missing)} in {folder}; expected {names}: unpack {source}"
    damaged = [name for name, md5 in published if not check_integrity(str(folder / name), md5)]
    return f"damaged in {folder} (other MD5 sums than published): {', '.join(damaged)}; unpack {source} again"
