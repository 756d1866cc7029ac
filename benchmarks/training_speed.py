"""Training throughput and peak memory against a plain SpikingJelly implementation of the same network.

    python benchmarks/training_speed.py reports/benchmarks

One step is forward, loss and backward of msvit_cifar on the same 16 images from the same weights. "plain" is the same
network with SpikingJelly's LIFNode in place of ours; "ours" is the network as a run without `compile` trains it (freed
memory stays with the process), "compiled" as the recipe cifar10 does, and "recomputed" the latter with activations
computed again. Takes 10 minutes on two cores and 18 GB, for each contestant keeps its memory.
"""

import sys
from pathlib import Path
from typing import Any

from in_turn import Measured, answer, contest, machine

MODEL, BATCH, ROUNDS, THREADS = "msvit_cifar", 16, 5, 2
CONTESTANTS = {
    "plain": {"plain"},
    "ours": {"keep"},
    "compiled": {"compile", "keep"},
    "recomputed": {"compile", "recompute"},
}


def contestant(what: set[str], gradients: Path) -> None:
    """Answer with training steps; leave the gradients of the last in a file."""
    import torch
    from plain import plain_neurons
    from spikingjelly.activation_based import functional
    from torch import nn

    import msvit
    from msvit.layers import set_recompute
    from msvit.memory import keep_memory
    from msvit.neuron import compile_neurons

    torch.manual_seed(0)
    model: Any = msvit.create_model(MODEL).train()
    images, labels = torch.randn(BATCH, *model.input_size), torch.randint(10, (BATCH,))
    if "plain" in what:
        plain_neurons(model)
    if "keep" in what:
        keep_memory()
    if "compile" in what:
        compile_neurons(model)
    set_recompute(model, "recompute" in what)
    losses = []

    def step() -> None:
        model.zero_grad()
        functional.reset_net(model)
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        losses.append(loss.item())

    def end() -> dict[str, float]:
        torch.save({name: weights.grad for name, weights in model.named_parameters()}, gradients)
        return {"loss": losses[-1]}

    answer(step, end)


def distance(a: Path, b: Path) -> float:
    """Of two files of gradients: length of the difference over length of the second. Biases before a batch norm, whose
    gradient is rounding alone, are left out."""
    import torch

    left, right = torch.load(a), torch.load(b)
    names = [name for name in left if not name.endswith("conv.bias")]
    squares = [((left[n].double() - right[n].double()).square().sum(), right[n].double().square().sum()) for n in names]
    return float((sum(x for x, _ in squares) / sum(y for _, y in squares)) ** 0.5)


def table(results: dict[str, Measured], folder: Path) -> str:
    """Markdown of what was measured."""
    lines = [f"# Training: {MODEL}, batches of {BATCH}", "", machine(THREADS), ""]
    lines += ["| | median s | times as fast as plain | (least, most) | memory, MB | of plain | loss | gradients |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    plain = results["plain"]
    for name, measured in results.items():
        middle, least, most = measured.ratio(plain)
        median = sorted(measured.seconds)[len(measured.seconds) // 2]
        differ = distance(folder / f"{name}.pt", folder / "plain.pt")
        lines.append(
            f"| {name} | {median:.2f} | {middle:.2f} | {least:.2f}, {most:.2f} | {measured.peak_mb:.0f} | "
            f"{measured.peak_mb / plain.peak_mb:.2f} | {measured.reported['loss']:.7f} | {differ:.1e} |"
        )
    lines += [
        "",
        f"Medians of {ROUNDS} rounds measured in turn, each in a process of its own. Memory is what the steps",
    ]
    lines += ["added to the process; gradients: length of the difference to plain, over the length of plain's."]
    return "\n".join(lines) + "\n"


def main(report: Path) -> None:
    """Measure all, write training_speed.md."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        folder = Path(name)
        contestants = {kind: ("--as", kind, str(folder / f"{kind}.pt")) for kind in CONTESTANTS}
        text = table(contest(__file__, contestants, ROUNDS, THREADS), folder)
    report.mkdir(parents=True, exist_ok=True)
    (report / "training_speed.md").write_text(text)
    print(text)


if __name__ == "__main__":
    if sys.argv[1] == "--as":
        contestant(CONTESTANTS[sys.argv[2]], Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]))
