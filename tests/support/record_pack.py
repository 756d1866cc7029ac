"""Facts about somebody else's model as tests/data keeps them: keys, parameters, MACs, a reference vector.

The model is only called; nothing of its code is kept. `docs/how-to/adding-a-model-family.md` shows the use.
"""

import csv
import json
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.support import parity

with warnings.catch_warnings():  # as in msvit_energy/dense/graph.py
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
    from fvcore.nn import FlopCountAnalysis

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)


def record_pack(stem: Path, build: Callable[[int], nn.Module], facts: dict[str, Any], neuron: type[nn.Module]) -> None:
    """Write `stem` with .keys.csv, .flops.json and .parity.json.

    `build` makes the model for T time steps; `neuron` is the class of its neurons. `facts` say where the model comes
    from and how the vector is drawn: seed, gain, T, input_shape, input_kind ("image" or "events").
    """
    model = build(facts["T"]).double().eval()
    with Path(f"{stem}.keys.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("key", "shape"))
        writer.writerows((key, "x".join(map(str, value.shape))) for key, value in model.state_dict().items())
    images = parity.draw(model, facts)
    once = build(1).double().eval()
    one = images[:1] if facts["input_kind"] == "image" else images[:1, :1]
    write(Path(f"{stem}.flops.json"), macs(once, one))
    write(Path(f"{stem}.parity.json"), facts | vector(model, images, neuron))


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


def macs(model: nn.Module, images: Tensor) -> dict[str, Any]:
    """Parameters and fvcore's MACs by module, each operator with the innermost module that calls it.

    fvcore counts nothing for masks and element-wise products: `fvcore_unsupported_ops` names them.
    """
    analysis = FlopCountAnalysis(model, images).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    totals = analysis.by_module_and_operator()  # with what is inside
    own = {name: Counter(counts) for name, counts in totals.items()}
    for name in filter(None, totals):
        own[name.rpartition(".")[0]].subtract(totals[name])
    layers = {name: int(counts["conv"] + counts["linear"]) for name, counts in own.items()}
    products = {name: int(counts["matmul"] + counts["bmm"] + counts["einsum"]) for name, counts in own.items()}
    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "macs_conv_linear_by_module": {name: count for name, count in layers.items() if count},
        "macs_matmul_by_module": {name: count for name, count in products.items() if count},
        "macs_conv_linear_total": sum(layers.values()),
        "macs_matmul_total": sum(products.values()),
        "fvcore_unsupported_ops": dict(analysis.unsupported_ops()),
    }


def vector(model: nn.Module, images: Tensor, neuron: type[nn.Module]) -> dict[str, Any]:
    """What one forward gives: logits, the mean output of every neuron layer, the input of every weighted layer."""
    neurons: dict[str, dict[str, float]] = {}
    layers: dict[str, dict[str, float]] = {}

    def fired(name: str, spikes: Tensor) -> None:
        neurons[name] = {"mean": spikes.mean().item()}

    def received(name: str, x: Tensor) -> None:
        nonzero = (x != 0).to(x.dtype).mean().item()
        layers[name] = {"input_mean": x.mean().item(), "input_nonzero": nonzero, "input_max": x.max().item()}

    for name, module in model.named_modules():
        if isinstance(module, neuron):
            module.register_forward_hook(lambda _, args, output, name=name: fired(name, output))
        elif isinstance(module, WEIGHTED):
            module.register_forward_pre_hook(lambda _, args, name=name: received(name, args[0]))
    with torch.inference_mode():
        logits = model(images)
    return {
        "input_sum": images.sum().item(),
        "logits_shape": list(logits.shape),
        "logits": logits.flatten().tolist(),
        "neurons": neurons,
        "weighted_layers": layers,
    }
