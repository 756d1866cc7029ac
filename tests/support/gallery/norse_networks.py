"""Networks of Norse: cells with states passed along by SequentialState, and whole sequences."""

import warnings

import torch
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn

from tests.support.gallery.entry import STEPS, Entry, images, multi_step, time_first

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # it compiles with torch.jit.script on import
    import norse.torch as norse

THRESHOLD = 0.1234  # which no sum meets


def parameters() -> norse.LIFParameters:
    return norse.LIFParameters(v_th=torch.as_tensor(THRESHOLD))


def cells() -> nn.Module:
    return norse.SequentialState(
        nn.Conv2d(1, 4, 3, padding=1),
        norse.LIFCell(parameters()),
        nn.Flatten(),
        nn.Linear(64, 5),
        norse.LIFCell(parameters()),
        nn.Linear(5, 3),
        norse.LICell(),
    )


def sequences() -> nn.Module:
    return norse.SequentialState(
        norse.Lift(nn.Conv2d(1, 4, 3, padding=1)),
        norse.LIF(parameters()),
        nn.Flatten(2),
        nn.Linear(64, 5),
        norse.LIF(parameters()),
        nn.Linear(5, 3),
    )


class CurrentNode(neuron.SimpleBaseNode):
    """Norse's neuron for SpikingJelly: a current that decays by a fifth per step, and a membrane that takes in a tenth
    of it."""

    def __init__(self) -> None:
        super().__init__(v_threshold=THRESHOLD, v_reset=0.0)
        self.register_memory("current", 0.0)

    def neuronal_charge(self, x: Tensor) -> None:
        current = self.current + x
        self.v = self.v + 0.001 * 100.0 * ((0.0 - self.v) + current)
        self.current = current + -0.001 * 200.0 * current


def twin() -> nn.Module:
    return multi_step(
        layer.Conv2d(1, 4, 3, padding=1), CurrentNode(), layer.Flatten(), layer.Linear(64, 5), CurrentNode(),
        layer.Linear(5, 3),
    )  # fmt: skip


def with_states(model: nn.Module, batch: Tensor) -> object:
    """A call for each step, with the states of the one before."""
    states = None
    for _ in range(STEPS):
        output, states = model(batch, states)
    return output


SMALL, T_IS = images(1, 4, 4), {"time_steps": STEPS}

ENTRIES = (
    Entry(
        "Norse cells", "LIFCells in SequentialState, called once per step", cells, twin, SMALL, with_states,
        passed=T_IS,
    ),
    Entry(
        "Norse sequences", "LIF and Lift over [T, B, ...]", sequences, twin, SMALL, time_first, passed=T_IS,
    ),
)  # fmt: skip
