"""Spiking neurons of the libraries people use: how to recognise them, what they emit, how they are reset.

Classes are recognised by their qualified names, so no library is imported that the model does not use itself.
"""

import difflib
import fnmatch
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.recording.spiking_functions import Site

Named = type[nn.Module] | str  # a class, or a pattern of names of modules or classes


@dataclass(frozen=True)
class Library:
    """How a library's neurons are recognised: prefixes of the qualified names of their classes, and patterns of the
    class names of what does not spike and of what runs over all T in one call, which is then on `time_axis`. `reset` is
    the method that puts a neuron to rest, if there is one."""

    name: str
    prefixes: tuple[str, ...]
    silent: str = "$^"
    sequences: str = "$^"
    reset: str = ""
    time_axis: int = 0


SPIKINGJELLY = "spikingjelly.activation_based"
SNNTORCH = "snntorch._neurons"
NORSE = "norse.torch.module"
EVERYTHING = ""
IN_ONE_PRODUCT = "(Masked|Sliding)?PSN$|StateLeaky$|LeakyKernel$"  # classes whose neurons run over T so
LIBRARIES = (
    # of the old package the names alone are known
    Library("SpikingJelly", ("spikingjelly.clock_driven.neuron.",), sequences="MultiStep", reset="reset"),
    Library(
        "SpikingJelly",
        (
            f"{SPIKINGJELLY}.neuron.",
            f"{SPIKINGJELLY}.rnn.SpikingRNNCellBase",
            f"{SPIKINGJELLY}.nir_exchange.from_nir._NIRStatefulModule",  # calls its neuron in another way
        ),
        silent="(Noisy)?NonSpiking",
        sequences="MultiStepModule$",
        reset="reset",
    ),
    Library(
        "snnTorch",
        (f"{SNNTORCH}.neurons.SpikingNeuron", f"{SNNTORCH}.leakyparallel.", f"{SNNTORCH}.leakykernel."),
        sequences="LeakyParallel|LeakyKernel|StateLeaky|AssociativeLeaky",
        reset="reset_mem",
    ),
    Library(
        "Norse",
        (f"{NORSE}.snn.", f"{NORSE}.coba_lif.", f"{NORSE}.lif_correlation."),
        silent="LI(?!F)",
        sequences="(SNN|SNNRecurrent)$",
    ),
    Library(
        "sinabs",
        ("sinabs.layers.lif.", "sinabs.layers.alif.", "sinabs.exodus.layers."),
        silent="ExpLeak",
        sequences=EVERYTHING,
        reset="reset_states",
        time_axis=1,
    ),
    Library(
        "Rockpool",
        tuple(
            f"rockpool.nn.modules.torch.{name}"
            for name in ("lif_torch.LIFBaseTorch", "lif_neuron_torch.LIFNeuronTorch", "updown_torch.UpDownTorch")
        ),
        sequences=EVERYTHING,
        reset="reset_state",
        time_axis=1,
    ),
    Library("Lava-DL", ("lava.lib.dl.slayer.neuron.base.Neuron",), sequences=EVERYTHING, time_axis=-1),
    Library("BrainCog", ("braincog.base.node.node.",), silent="(Bias)?ReLUNode", reset="n_reset"),
)


def library_of(module: nn.Module) -> Library | None:
    """The library whose neuron a module is; None for everything else."""
    return _library(type(module))  # type: ignore[arg-type]  # classes are hashable


@lru_cache
def _library(kind: type) -> Library | None:
    names = _names(kind)
    for library in LIBRARIES:
        if any(name.startswith(library.prefixes) for name in names):
            return None if _any(library.silent, names) else library
    return None


def is_neuron(module: nn.Module) -> bool:
    """Whether a module is a layer of spiking neurons: of a known library, or by `activation_op = "neuron"`."""
    return getattr(module, "activation_op", None) == "neuron" or library_of(module) is not None


@dataclass(frozen=True)
class Neurons:
    """Which modules of a model are layers of spiking neurons: those of known libraries, those with `activation_op`, and
    those that the user `named`. What is `inside` of a named one is part of it. `functions` are where bare functions
    are called that spike, with the names of their layers; None before these were looked for."""

    named: frozenset[nn.Module] = frozenset()
    inside: frozenset[nn.Module] = frozenset()
    functions: Mapping[Site, str] | None = None

    def __contains__(self, module: nn.Module) -> bool:
        return module in self.named or (module not in self.inside and is_neuron(module))


NONE_NAMED = Neurons()


def named_neurons(model: nn.Module, named: Named | Collection[Named]) -> Neurons:
    """The neurons of a model with those that are named by classes, or by patterns (fnmatch) of names of modules or
    classes. EnergyError for a name that is none."""
    found: set[nn.Module] = set()
    for name in one_or_more(named):
        if not isinstance(name, str) and not (isinstance(name, type) and issubclass(name, nn.Module)):
            raise EnergyError(f"neurons are named by classes of modules, or by patterns of names, not by {name!r}")
        matching = [module for path, module in model.named_modules() if _is_named(name, path, module)]
        if not matching:
            raise _matches_nothing(name, model)
        found.update(matching)
    inside = frozenset(below for module in found for below in nn.Module.modules(module) if below is not module)
    return Neurons(frozenset(found) - inside, inside)


def one_or_more(named: Named | Collection[Named]) -> Collection[Named]:
    """What was named, one or several, as a collection."""
    return (named,) if isinstance(named, str | type) else named


def _is_named(name: Named, path: str, module: nn.Module) -> bool:
    if not isinstance(name, str):
        return isinstance(module, name)
    return fnmatch.fnmatchcase(path, name) or fnmatch.fnmatchcase(type(module).__name__, name)


def _matches_nothing(name: Named, model: nn.Module) -> EnergyError:
    """With the names that are most like one that matches no module."""
    text = name if isinstance(name, str) else name.__name__
    modules = {path: type(module).__name__ for path, module in model.named_modules() if path}
    names = list(dict.fromkeys((*modules, *modules.values())))
    near = difflib.get_close_matches(text, names, n=3, cutoff=0.4) or names[:3]
    also = f"; modules and classes: {', '.join(near)}, ..." if near else ""
    return EnergyError(f"no module is called {text!r} or is of such a class, so there are no such neurons{also}")


def takes_sequences(neuron: nn.Module) -> bool | None:
    """Whether a neuron runs over all T in one call; None for one of no known library."""
    if hasattr(neuron, "step_mode"):
        return bool(neuron.step_mode == "m")
    if _is_squeezed(neuron) or _is_layer_by_layer(neuron):
        return True
    library = library_of(neuron)
    return (
        None
        if library is None
        else _any(
            library.sequences,
            _names(type(neuron)),  # type: ignore[arg-type]
        )
    )


def steps_run(neuron: nn.Module, spikes: Tensor) -> int:
    """Over how many time steps a neuron that takes sequences ran to emit `spikes`."""
    own: Any = neuron
    if _is_squeezed(neuron):
        return int(own.num_timesteps) if own.num_timesteps > 0 else len(spikes) // int(own.batch_size)
    if _is_layer_by_layer(neuron):
        return int(own.step)
    return int(spikes.shape[time_axis(neuron)])


def time_axis(neuron: nn.Module) -> int:
    """Where a neuron that takes sequences has T: in front, behind the images (1), or last."""
    library = library_of(neuron)
    return 0 if library is None else library.time_axis


def _is_squeezed(neuron: nn.Module) -> bool:
    """Whether a neuron of sinabs has images and time steps on one axis."""
    return hasattr(neuron, "squeeze_forward")


def _is_layer_by_layer(neuron: nn.Module) -> bool:
    """Whether a neuron of BrainCog has time steps and images on one axis."""
    return getattr(neuron, "layer_by_layer", False) is True


def multiplies_without_synapses(module: nn.Module) -> bool:
    """Whether a neuron's own products are no synapses: PSN of SpikingJelly and StateLeaky of snnTorch run over T in one
    product, and Rockpool's neurons multiply with recurrent weights that are all 0 where they have no recurrence."""
    library = library_of(module)
    if library is None:
        return False
    recurrent = getattr(module, "w_rec", None) if library.name == "Rockpool" else None
    none_there = isinstance(recurrent, Tensor) and not bool(recurrent.any())
    return none_there or _any(IN_ONE_PRODUCT, _names(type(module)))  # type: ignore[arg-type]


@lru_cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__)


def _any(pattern: str, names: tuple[str, ...]) -> bool:
    return any(re.match(pattern, name.rpartition(".")[2]) for name in names)


def emitted(output: Any) -> Tensor:
    """The spikes in what a neuron returns, which may be a tuple with its state."""
    while isinstance(output, list | tuple):
        output = output[0]
    return output


def reset_of(module: nn.Module) -> Callable[[], object] | None:
    """The method that puts a module to rest, if it has one."""
    library = library_of(module)
    name = library.reset if library is not None else "reset" if hasattr(module, "_memories") else ""
    return getattr(module, name, None) if name else None
