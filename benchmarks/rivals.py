"""What other tools do with one batch of a network in SpikingJelly's neurons, each as its documentation says."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

import torch
from spikingjelly.activation_based import functional, neuron, op_counter
from torch.utils.data import DataLoader, TensorDataset

Step = Callable[[], tuple[float, float] | None]  # may say accumulates and multiply-accumulates per image


def step_of(kind: str, model: Any, images: Any, tool: str) -> Step:
    """What a contestant does with the batch; without a tool of that name a forward pass. `tool` is a checkout of
    Spikingformer."""
    labels = torch.zeros(len(images), dtype=torch.long)
    loader = DataLoader(TensorDataset(images, labels), batch_size=len(images))
    if kind == "counters":
        return counters(model, images)
    if kind == "neurobench":
        return neurobench(model, loader)
    if kind == "syops":
        return syops("syops", model, loader)
    if kind == "spikingformer":
        sys.path.append(tool)
        return syops("energy_consumption_calculation.flops_counter", model, loader)
    return forward(model, images)


def forward(model: Any, images: Any) -> Step:
    """A forward pass, nothing else."""

    def step() -> None:
        with torch.inference_mode():
            model(images)
        functional.reset_net(model)

    return step


def counters(model: Any, images: Any) -> Step:
    """SpikingJelly's counters of synaptic operations, accumulates and multiply-accumulates."""

    def step() -> tuple[float, float]:
        synaptic, adding, multiplying = op_counter.SynOpCounter(), op_counter.ACCounter(), op_counter.MACCounter()
        # under inference_mode a layer is no convolution yet where they look, and they count next to nothing
        with torch.no_grad(), op_counter.DispatchCounterMode([synaptic, adding, multiplying]):
            model(images)
        functional.reset_net(model)
        return synaptic.get_total() / len(images), multiplying.get_total() / len(images)

    return step


def neurobench(model: Any, loader: Any) -> Step:
    """NeuroBench's synaptic operations and sparsity of activations."""
    metrics = import_module("neurobench.metrics.workload")
    wrapped = import_module("neurobench.models").TorchModel(model)
    wrapped.add_activation_module(neuron.LIFNode)
    wanted = [metrics.SynapticOperations, metrics.ActivationSparsity]
    benchmark = import_module("neurobench.benchmarks").Benchmark(wrapped, loader, [], [], [[], wanted])

    def step() -> tuple[float, float]:
        with torch.inference_mode():
            counted = benchmark.run(quiet=True)["SynapticOperations"]
        functional.reset_net(model)
        return counted["Effective_ACs"], counted["Effective_MACs"]  # an error inside makes it 0.0, which fails here

    return step


def syops(package: str, model: Any, loader: Any) -> Step:
    """syops, or Spikingformer's tool, which is made from it; both reset the neurons themselves."""
    for name in ("MultiStepIFNode", "MultiStepLIFNode", "MultiStepParametricLIFNode"):
        # SpikingJelly 2 has these no more, but both want to import them; LIFNode they know
        setattr(neuron, name, type(name, (), {}))
    theirs: Any = import_module(package)
    if hasattr(theirs, "get_energy_cost"):
        # prices at the end what was counted, but only of modules named as Spikingformer's are
        theirs.get_energy_cost = lambda *_: None

    def step() -> tuple[float, float]:
        with redirect_stdout(None):
            counted, _ = theirs.get_model_complexity_info(
                model, model.input_size, loader, as_strings=False, print_per_layer_stat=False
            )
        return float(counted[1]), float(counted[2])

    return step
