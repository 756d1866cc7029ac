"""SpikingResformer's way of counting against its definition: each layer with all weights 1 and its output summed."""

from typing import Any

import torch
from spikingjelly.activation_based import functional, neuron
from torch import Tensor, nn
from torch.nn import functional as F

import msvit_energy
from msvit_energy import price
from tests.support.foreign_models import Forward, numbers, stored, with_weights

T = 3


class Product(nn.Module):
    activation_op = "matmul"

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b


def test_events_are_the_sums_of_outputs_with_all_weights_one() -> None:
    def step(s: Any, x: Tensor) -> Tensor:
        spikes = s.fire(s.stem(x))
        summed = spikes + s.again(s.conv(spikes))  # 0, 1 or 2
        left, right = s.left(s.grouped(summed)), s.grouped(summed)
        mixed = s.product(left.flatten(2).transpose(1, 2), right.flatten(2))  # spikes with real numbers
        return s.head(mixed.flatten(1))

    model = with_weights(
        Forward(
            lambda s, x: sum(step(s, x) for _ in range(T)),
            stem=nn.Conv2d(1, 4, 3, padding=1),
            fire=neuron.IFNode(v_threshold=0.5),
            conv=nn.Conv2d(4, 4, 3, padding=1),
            again=neuron.IFNode(),
            grouped=nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2),
            left=neuron.IFNode(v_threshold=0.5),
            product=Product(),
            head=nn.Linear(81, 2),
        ).double()
    )
    images = numbers(4, 1, 5, 5).double()
    profile = msvit_energy.profile(model, [images], time_steps=T, feed="image")
    kinds = {operator.layer: operator.driver.kind for operator in profile.operators}
    assert kinds | {"grouped": "integer", "conv": "binary", "product": "binary"} == kinds
    functional.reset_net(model)
    inputs = stored(model, lambda: model(images))
    ones = {
        "conv": lambda x: F.conv2d(x, torch.ones(4, 4, 3, 3).double(), padding=1),
        "grouped": lambda x: F.conv2d(x, torch.ones(4, 2, 3, 3).double(), stride=2, padding=1, groups=2),
        "product": lambda x: x @ torch.ones(4, 4, 9).double(),
    }
    expected = {name: float(sum(run(x).sum() for x in inputs[f"{name} <"])) / 4 for name, run in ones.items()}
    rows = price(profile, "spikingresformer").rows
    assert {row.layer: row.acs for row in rows if row.counted} == expected
    assert min(expected.values()) > 0
    assert [row.layer for row in rows if not row.counted] == ["stem", "head"]
