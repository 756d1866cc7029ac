"""The graph of a model: from shapes alone where that can be, and kept for as long as the model is made of the same."""

from collections.abc import Callable, Collection
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from msvit_energy.dense.fingerprint import made_of
from msvit_energy.dense.meta_tensors import ShapesOnly
from msvit_energy.dense.reconcile import Graph, trace
from msvit_energy.recording.neurons import Resting

# by model, and by what else a graph depends on: what the model was made of, and the graph
_kept: WeakKeyDictionary[nn.Module, dict[Any, tuple[Any, Graph]]] = WeakKeyDictionary()


def graph_of(
    model: nn.Module,
    inputs: Tensor,
    time_steps: int,
    listed: Collection[str],
    neurons: Collection[str],
    doubted: Callable[[Graph], bool],
) -> Graph:
    """The graph of one call with `inputs`, as of `dense.trace`; raises what the tracer raises.

    Values go through the model only if shapes alone do not, or if the graph is `doubted` so that it is to be seen with
    values too. A graph that only values gave may depend on them, and is not kept. The model stays at rest.
    """
    known = _kept.setdefault(model, {})
    made = made_of(model)
    key = (tuple(inputs.shape), inputs.dtype, time_steps, tuple(listed), tuple(neurons))
    if key in known and known[key][0] == made:
        return known[key][1]
    resting = Resting(model)
    try:
        graph = _of_shapes(model, inputs, listed, neurons)
        if graph is None or doubted(graph):
            resting.restore()
            with_values = trace(model, inputs, listed, neurons)
            if with_values != graph:
                return with_values
            graph = with_values
    finally:
        resting.restore()
    known[key] = made, graph
    return graph


def _of_shapes(model: nn.Module, inputs: Tensor, listed: Collection[str], neurons: Collection[str]) -> Graph | None:
    try:
        with torch.inference_mode(False), ShapesOnly():
            return trace(model, inputs.to("meta"), listed, neurons)
    except Exception:  # somebody's model can take values anywhere
        return None
