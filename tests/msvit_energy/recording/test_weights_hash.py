"""The hash by which the weights of two networks are told apart."""

import hashlib

import pytest
import torch
from torch import nn

from msvit_energy.recording.weights_hash import weights_hash


def test_the_hash_is_that_of_names_formats_shapes_and_bytes() -> None:
    model = nn.Linear(2, 1)
    model.weight.data, model.bias.data = torch.tensor([[1.0, 2.0]]), torch.tensor([-1.0])
    # little-endian float32: 1 is 00 00 80 3f
    bias, weight = b"\x00\x00\x80\xbf", b"\x00\x00\x80\x3f\x00\x00\x00\x40"
    content = b"bias torch.float32 (1,)\n" + bias + b"weight torch.float32 (1, 2)\n" + weight
    assert weights_hash(model) == hashlib.sha256(content).hexdigest()


def test_the_order_of_definition_and_of_memory_is_no_matter() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    one, other = nn.ModuleDict({"a": first, "b": second}), nn.ModuleDict({"b": second, "a": first})
    known = weights_hash(one)
    assert known == weights_hash(other)
    one.to(memory_format=torch.channels_last)
    assert weights_hash(one) == known
    second.running_mean += 1
    assert weights_hash(one) != known


@pytest.mark.parametrize("model", [nn.LazyLinear(3), nn.Linear(2, 3, device="meta")], ids=["lazy", "meta"])
def test_weights_that_are_not_there_have_no_hash(model: nn.Module) -> None:
    assert weights_hash(model) is None
