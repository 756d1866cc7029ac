"""A measurement needs no more memory for more images. benchmarks/soak.py does the same with 20,000."""

import gc
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import msvit
import msvit_energy

pytestmark = pytest.mark.slow


def test_no_batch_leaves_anything_behind() -> None:
    model = msvit.create_model("msvit_digits").eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 12, 12, generator=generator)  # the same ones: new values may show new kinds of input
    counted: list[int] = []

    def batches() -> Iterator[Tensor]:
        for _ in range(40):
            yield images.clone()

    def count(_: int) -> None:
        gc.collect()
        counted.append(len(gc.get_objects()))

    msvit_energy.profile(model, batches(), on_batch=count)
    settled = counted[9:]
    assert max(settled) - min(settled) <= 5  # the list and its like, but nothing per batch
