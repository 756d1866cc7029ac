"""Shared set-up: few threads (the machines that run tests are shared) and a small model that always fits."""

import pytest
import torch

import msvit
from msvit.classifier import SpikingClassifier
from tests.support import parity

torch.set_num_threads(1)


@pytest.fixture
def small_model() -> SpikingClassifier:
    """msvit_digits in float64 with seeded weights under which every neuron layer fires."""
    model = msvit.create_model("msvit_digits").double().eval()
    parity.draw(model, {"seed": 0, "gain": 2.5, "input_shape": (1, 1, 12, 12), "input_kind": "image"})
    return model
