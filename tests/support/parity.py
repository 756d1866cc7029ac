"""Reference vectors: weights and inputs drawn from a seed, and what the official models answer to them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

DATA = Path(__file__).parents[1] / "data"

# parameters that the official forward never uses, by family
UNUSED: dict[str, tuple[str, ...]] = {
    "spikformer": ("norm", "pos_embed"),
    "spikingformer": ("norm",),
    "sdt": ("talking_heads",),
    "cml": ("norm",),
    "statten": ("talking_heads",),
}


def read(name: str) -> dict[str, Any]:
    """A JSON file of tests/data, such as "msvit/cifar10.parity.json"."""
    return json.loads((DATA / name).read_text())


def keys(name: str) -> list[tuple[str, str]]:
    """Keys and shapes ("96x3x3x3") of an official state dict, in order."""
    with (DATA / name).open(newline="") as file:
        return [(row["key"], row["shape"]) for row in csv.DictReader(file)]


def draw(model: nn.Module, vector: dict[str, Any]) -> Tensor:
    """Overwrite the model's weights with those of a vector and return the vector's input.

    One generator draws all: the floating tensors of the state dict in string order of their keys, then the input.
    """
    generator = np.random.RandomState(vector["seed"])
    state = model.state_dict()
    for key in sorted(state):
        tensor = state[key]
        if tensor.is_floating_point():
            values = generator.standard_normal(tuple(tensor.shape))
            tensor.copy_(torch.from_numpy(np.asarray(_scaled(key, values, state, vector["gain"]))))
        else:
            tensor.zero_()
    shape = tuple(vector["input_shape"])
    if vector["input_kind"] == "events":
        return torch.from_numpy((generator.random_sample(shape) < 0.1).astype(float))
    return torch.from_numpy(generator.standard_normal(shape))


def _scaled(key: str, values: Any, state: dict[str, Tensor], gain: float) -> Any:
    owner, _, leaf = key.rpartition(".")
    if leaf == "weight" and values.ndim > 1:
        return values * gain / np.sqrt(np.prod(values.shape[1:]))
    if leaf == "weight":
        return 1 + 0.1 * values
    if leaf == "running_var":
        return 1 + 0.1 * np.abs(values)
    if leaf == "bias" and f"{owner}.running_var" in state:
        return 0.3 + 0.2 * values
    return 0.1 * values
