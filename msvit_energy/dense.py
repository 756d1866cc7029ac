"""Dense MACs of a model: layer by layer by fvcore on a traced graph, or the total from shapes alone by torch.

All contact with the two counters is here. fvcore's unit is one multiply-accumulate, although it says "flops"; torch
counts two per multiply-accumulate. Normalisation and pooling, which fvcore also counts, are not MACs of synapses and
are left to the recorder's list of overheads.
"""

import math
import warnings
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

with warnings.catch_warnings():
    # fvcore compiles an unrelated loss with torch.jit.script on import; its users cannot mend that
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
    from fvcore.nn import FlopCountAnalysis

FUSED_ATTENTION = "scaled_dot_product_attention"
MAC_OPERATORS = ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum", FUSED_ATTENTION)
VIEWS = ("aten::unflatten",)  # moves no data; fvcore knows its other relatives


@dataclass(frozen=True)
class DenseCount:
    """MACs of one forward: of the layers asked for, of all other modules that have some, and what fvcore cannot count
    outside the modules that are listed anyway (operator -> calls)."""

    by_layer: dict[str, int]
    elsewhere: dict[str, int]
    untracked: dict[str, int]


def fused_attention_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """q k^T and its product with v, which fvcore does not know: `[..., N, d]`, `[..., M, d]`, `[..., M, e]`."""
    (*batch, queries, width), (*_, keys, _), (*_, width_out) = (value.type().sizes() for value in inputs[:3])
    return Counter({FUSED_ATTENTION: math.prod(batch) * queries * keys * (width + width_out)})


def macs_from_shapes(model: nn.Module) -> int:
    """MACs of one image and one time step of a registered model on the meta device, whose T becomes 1."""
    model.time_steps = 1  # type: ignore[assignment]  # torch types attributes of modules as tensors
    image = torch.empty(1, *model.input_size, device="meta")  # type: ignore[misc]  # registered models have it
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(image)
    return int(counter.get_total_flops()) // 2


def count_macs(model: nn.Module, image: Tensor, layers: Collection[str], listed: Collection[str]) -> DenseCount:
    """Trace `model` on one image (a batch of 1, in evaluation mode) and split its MACs by module.

    `layers` are the modules whose MACs are wanted, `listed` leaf modules that are reported as overhead: what fvcore
    finds in those is not reported again.
    """
    analysis = FlopCountAnalysis(model, (image,))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle(f"aten::{FUSED_ATTENTION}", fused_attention_macs)
    with torch.no_grad():
        inclusive = {
            name: sum(int(counts[op]) for op in MAC_OPERATORS)
            for name, counts in analysis.by_module_and_operator().items()
        }
    own = dict(inclusive)
    for name, macs in inclusive.items():
        if name:  # the parent's count includes this one
            own[name.rpartition(".")[0]] -= macs
    untracked = Counter(analysis.unsupported_ops())
    for name in listed:
        untracked -= analysis.unsupported_ops(name)
    return DenseCount(
        by_layer={name: own[name] for name in layers},
        elsewhere={name or "(top level)": macs for name, macs in own.items() if macs and name not in layers},
        untracked={op: calls for op, calls in untracked.items() if op not in VIEWS},
    )
