"""The logits in what a model returns, in whatever form that is."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

NAMES = ("logits", "outputs", "output", "out", "predictions", "prediction", "preds", "pred", "y", "x")


def output_tensor(output: Any) -> Tensor | None:
    """The tensor that a model returns: itself, its attribute or key `logits`, the first of a tuple or list, or of a
    dict what has a usual name or is its only tensor. None if there is no such tensor."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        tensors = [value for value in output.values() if isinstance(value, Tensor)]
        named = [value for name in NAMES if isinstance(value := output.get(name), Tensor)]
        found = named or (tensors if len(tensors) == 1 else [])
        return found[0] if found else None
    logits = getattr(output, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    if isinstance(output, list | tuple):
        return output_tensor(output[0]) if output else None
    return None
