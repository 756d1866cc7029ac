"""Dense MACs of a model, counted by fvcore on a traced graph: all contact with fvcore is here.

fvcore's unit is one multiply-accumulate, although it says "flops". Normalisation and pooling, which it also counts,
are not MACs of synapses and are left to the recorder's list of overheads.
"""

import warnings
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    # fvcore compiles an unrelated loss with torch.jit.script on import; its users cannot mend that
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
    from fvcore.nn import FlopCountAnalysis

MAC_OPERATORS = ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum")
VIEWS = ("aten::unflatten",)  # moves no data; fvcore knows its other relatives


@dataclass(frozen=True)
class DenseCount:
    """MACs of one forward: of the layers asked for, of all other modules that have some, and what fvcore cannot count
    outside the modules that are listed anyway (operator -> calls)."""

    by_layer: dict[str, int]
    elsewhere: dict[str, int]
    untracked: dict[str, int]


def count_macs(model: nn.Module, image: Tensor, layers: Collection[str], listed: Collection[str]) -> DenseCount:
    """Trace `model` on one image (a batch of 1, in evaluation mode) and split its MACs by module.

    `layers` are the modules whose MACs are wanted, `listed` leaf modules that are reported as overhead: what fvcore
    finds in those is not reported again.
    """
    analysis = FlopCountAnalysis(model, (image,))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
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
