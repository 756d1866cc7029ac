"""What Tables 2 and 3 of the paper have in common: printed parameters beside counted ones."""

from typing import Any

import torch
from torch import nn

from msvit.classifier import SpikingClassifier
from msvit_energy.reporting.table import Column

TOLERANCE_M = 0.01


def parameters(model: nn.Module) -> int:
    """All parameters of a model."""
    return sum(weights.numel() for weights in model.parameters())


def used_parameters(model: SpikingClassifier) -> int:
    """Parameters that a gradient reaches from the output; the model is on the meta device."""
    model(torch.empty(1, *model.input_size, device="meta")).sum().backward()
    return sum(weights.numel() for weights in model.parameters() if weights.grad is not None)


def compared(printed_m: float, counted: int) -> dict[str, Any]:
    """The columns on parameters, in M; `met` is "yes" within TOLERANCE_M."""
    difference = counted / 1e6 - printed_m
    return {
        "params_m_published": printed_m,
        "params_m": counted / 1e6,
        "difference_m": difference,
        "met": "yes" if abs(difference) < TOLERANCE_M else "no",
    }


def columns() -> dict[str, Column]:
    """How those columns print."""
    return {
        "params_m_published": Column("M printed", ".2f"),
        "params_m": Column("M", ".4f"),
        "difference_m": Column("difference", "+.3f"),
        "met": Column("met"),
    }
