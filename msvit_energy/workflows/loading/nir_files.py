"""Networks in NIR files (neuroir.org), run by modules of SpikingJelly."""

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.text_files import MIB

SUFFIX = ".nir"
MOST_ENTRIES, DEEPEST = 20_000, 32
SPARE = 32 * MIB  # by which compressed arrays may be larger than the file
MOST_VALUES = 2**26  # of an image
NODES = "Affine Linear Conv1d Conv2d AvgPool2d Flatten IF LIF CubaLIF Input Output".split()  # that SpikingJelly runs
STEPS = (1e-4, 1e-3, 1.0)  # seconds: SpikingJelly's own, then what other libraries write


@dataclass(frozen=True)
class NirNetwork:
    """A network that is called with one step `[B, ...]` and a state, the images it takes (C, H, W; None: it does not
    say), and how many seconds a time step has."""

    model: nn.Module
    input_size: tuple[int, int, int] | None
    dt: float


class Flattened(nn.Module):
    """A network of numbers in a row, fed with images `[B, C, H, W]`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """`(output, state)`."""
        return self.network(x.flatten(1), state)


def read_nir(path: Path) -> NirNetwork:
    """EnergyError for a file that is none, what SpikingJelly cannot run, and where nir or nirtorch is missing."""
    try:
        import nir
        from spikingjelly.activation_based.nir_exchange import import_from_nir
    except ImportError as error:
        raise EnergyError(
            f"{path.name} needs the packages nir and nirtorch: pip install 'msvit-energy[nir]'"
        ) from error
    try:
        _check_arrays(path)
        graph = nir.read(path)
    except EnergyError:
        raise
    except Exception as error:  # of h5py, or of nir where a node is not as it should be
        raise EnergyError(f"{path} is no NIR file: {_reason(error)}") from error
    _check_nodes(path, graph)
    _check_edges(path, graph)
    refused = []
    for dt in STEPS:
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # its log
                model = import_from_nir(graph, dt=dt, dtype=torch.float32)
                return _with_size(model, graph, dt)
        except Exception as error:  # of other libraries, on a graph that is anybody's
            refused.append(_reason(error))
    raise EnergyError(f"{path.name} has neurons that SpikingJelly does not run: {refused[0]}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _check_arrays(path: Path) -> None:
    """EnergyError for arrays that are not in the file, or are much larger than it, and for groups without end."""
    import h5py

    size = 0
    with h5py.File(path, "r") as file:
        groups, found = [(file, 0)], 0
        while groups:
            group, depth = groups.pop()
            for name in group:
                found += 1
                if found > MOST_ENTRIES or depth > DEEPEST:
                    raise EnergyError(
                        f"{path} is no NIR file: more than {MOST_ENTRIES} entries or {DEEPEST} levels, or no end"
                    )
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise EnergyError(f"{path} is no NIR file: {name!r} leads to another place or file")
                entry = group[name]
                if isinstance(entry, h5py.Group):
                    groups.append((entry, depth + 1))
                elif isinstance(entry, h5py.Dataset):
                    if entry.external or entry.is_virtual:
                        raise EnergyError(f"{path} is no NIR file: {name!r} is an array in another file")
                    size += entry.nbytes
    if size > path.stat().st_size + SPARE:
        raise EnergyError(f"{path} has arrays of {size // MIB} MiB, which a file of its size does not")


def _check_nodes(path: Path, graph: Any) -> None:
    for name, node in graph.nodes.items():
        kind = type(node).__name__
        if kind not in NODES:
            known = ", ".join(NODES[:-2])
            raise EnergyError(
                f"{path.name}: its node {name!r} is a {kind}, which SpikingJelly does not run; it runs {known}"
            )


def _check_edges(path: Path, graph: Any) -> None:
    """EnergyError unless all nodes lie between one input and one output: nirtorch waits for others without end."""
    inputs, outputs = (
        [name for name, node in graph.nodes.items() if type(node).__name__ == kind] for kind in NODES[-2:]
    )
    if len(inputs) != 1 or len(outputs) != 1:
        raise EnergyError(
            f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs, with the nodes that have no edge to or "
            "from another; it must have one of each"
        )
    behind = _reached(inputs[0], graph.edges)
    before = _reached(outputs[0], [(target, source) for source, target in graph.edges])
    if apart := sorted(set(graph.nodes) - (behind & before)):
        raise EnergyError(f"{path.name}: its node {apart[0]!r} does not lie between the input and the output")


def _reached(start: str, edges: Sequence[tuple[str, str]]) -> set[str]:
    after: dict[str, list[str]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    reached, waiting = {start}, [start]
    while waiting:
        new = set(after.get(waiting.pop(), ())) - reached
        reached |= new
        waiting += new
    return reached


def _with_size(model: nn.Module, graph: Any, dt: float) -> NirNetwork:
    shape = _input_shape(graph)
    if len(shape) == 1:
        return NirNetwork(Flattened(model), None, dt)
    if any(length < 1 for length in shape) or math.prod(shape) > MOST_VALUES:
        raise ValueError(f"its input is {list(shape)}")
    size = (shape[0], shape[1], shape[2]) if len(shape) == 3 else None
    return NirNetwork(model, size, dt)


def _input_shape(graph: Any) -> Sequence[int]:
    """Of one image, as the first input says; empty if it does not."""
    for node in graph.nodes.values():
        if type(node).__name__ == "Input":
            (shape, *_) = node.input_type.values()
            return () if shape is None else [int(size) for size in shape]
    return ()
