"""What measuring other people's networks costs beyond their forward: per batch of 32 images, and for one image.

    python benchmarks/measurement_cost.py reports/benchmarks

"batch" is one more batch of a running measurement, against a forward of as many images. "profile" is a whole
measurement of one image, "prepared" the same with a Preparation that an earlier one has filled, both against a forward
of one image. Networks are SpikingJelly's own and two of this project's, T = 4, random weights, batch-norm statistics of
8 images. A quarter of an hour on one core.
"""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from in_turn import Measured, Turns, answer, contest

STEPS, IMAGES, ROUNDS, THREADS = 4, 32, 5, 1
CASES = {  # name: size of images, forwards or measurements per turn
    "tiny": ((1, 8, 8), 20),
    "spiking_resnet18": ((3, 64, 64), 1),
    "sew_resnet18": ((3, 64, 64), 1),
    "spiking_vgg11_bn": ((3, 64, 64), 1),
    "spiking_resnet18 224": ((3, 224, 224), 1),
    "msvit_digits": ((1, 12, 12), 5),
    "spikformer_cifar": ((3, 32, 32), 1),
}
KINDS = ("bare", "batch", "bare one", "profile", "prepared")
NOTES = (
    f"Medians of {ROUNDS} rounds measured in turn, each in a process of its own, on one thread; ratios are taken",
    f"within a round. A batch has {IMAGES} images; profile and prepared are whole measurements of one image.",
)


def network(name: str) -> Any:
    """A network with random weights."""
    import torch
    from spikingjelly.activation_based import functional, layer, neuron, surrogate
    from spikingjelly.activation_based.model import sew_resnet, spiking_resnet, spiking_vgg
    from torch import nn

    import msvit

    torch.manual_seed(0)
    if name in ("msvit_digits", "spikformer_cifar"):
        return msvit.create_model(name)
    given = {"spiking_neuron": neuron.IFNode, "surrogate_function": surrogate.ATan(), "num_classes": 10}
    if name == "tiny":
        front = (layer.Conv2d(1, 8, 3, padding=1, bias=False), layer.BatchNorm2d(8), neuron.LIFNode())
        net: Any = nn.Sequential(*front, layer.Flatten(), layer.Linear(8 * 64, 10), neuron.LIFNode())
    elif name == "sew_resnet18":
        net = sew_resnet.sew_resnet18(cnf="ADD", **given)
    else:
        family = spiking_vgg if "vgg" in name else spiking_resnet
        net = getattr(family, name.split(maxsplit=1)[0])(**given)
    functional.set_step_mode(net, "m")
    return net


def ready(name: str) -> tuple[Any, Callable[[Any], None], dict[str, int]]:
    """A network with statistics, its bare forward of images, and the options of `profile`."""
    import torch
    from spikingjelly.activation_based import functional
    from torch.nn.modules.batchnorm import _BatchNorm

    net, own_steps = network(name), name in ("msvit_digits", "spikformer_cifar")

    def forward(images: Any) -> None:
        functional.reset_net(net)
        with torch.no_grad():
            net(images if own_steps else images.unsqueeze(0).repeat(STEPS, 1, 1, 1, 1))

    for norm in net.modules():
        if isinstance(norm, _BatchNorm):
            norm.momentum = 1.0
    net.train()
    forward(torch.randn(8, *CASES[name][0]))
    net.eval()
    return net, forward, {} if own_steps else {"time_steps": STEPS}


def contestant(kind: str, name: str) -> None:
    """Answer with turns of one kind."""
    import torch

    from msvit.memory import keep_memory
    from msvit_energy import Preparation, profile

    keep_memory()
    net, forward, given = ready(name)
    size, times = CASES[name]
    images = torch.randn(IMAGES if kind in ("bare", "batch") else 1, *size)
    preparation = Preparation() if kind == "prepared" else None
    if kind == "batch":
        turns = Turns()
        profile(net, over_and_over(images, turns, times), **given)
        turns.report({})
        return

    def step() -> None:
        for _ in range(times):
            if kind.startswith("bare"):
                forward(images)
            else:
                profile(net, [images], preparation=preparation, **given)

    step()
    answer(step, dict)


def over_and_over(images: Any, turns: Turns, times: int) -> Iterator[Any]:
    """The first batch before the turns, then batches of turns."""
    yield images
    for _ in turns:
        for _ in range(times):
            yield images


def row(name: str, results: dict[str, Measured]) -> str:
    """A line of the table."""
    pairs = (("bare", "batch"), ("bare one", "profile"), ("bare one", "prepared"))
    ratios = [results[bare].ratio(results[kind]) for bare, kind in pairs]
    size = " x ".join(map(str, CASES[name][0]))
    cells = [f"{middle:.2f} | {least:.2f}, {most:.2f}" for middle, least, most in ratios]
    return f"| {name.split(maxsplit=1)[0]} | {size} | {' | '.join(cells)} |"


def main(report: Path) -> None:
    """Measure all, write measurement_cost.md."""
    rows = []
    for name in CASES:
        contestants = {kind: ("--as", kind, name) for kind in KINDS}
        rows.append(row(name, contest(__file__, contestants, ROUNDS, THREADS)))
    heading = "| | images | batch, of bare | (least, most) | profile, of bare | (least, most) | prepared, of bare |"
    lines = ["# The cost of a measurement", ""]
    lines += [f"torch {version('torch')}, spikingjelly {version('spikingjelly')}", ""]
    lines += [f"{heading} (least, most) |", "| --- | --- |" + " ---: |" * 6, *rows, "", *NOTES]
    report.mkdir(parents=True, exist_ok=True)
    (report / "measurement_cost.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    if sys.argv[1] == "--as":
        contestant(*sys.argv[2:])
    else:
        main(Path(sys.argv[1]))
