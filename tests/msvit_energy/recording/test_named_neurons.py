"""One's own neurons, named by classes or by patterns, in the API and on the command line."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

import msvit_energy
from msvit_energy import EnergyError, Profile
from msvit_energy.recording.neurons import named_neurons
from tests.support.command_line import run
from tests.support.foreign_models import numbers, with_weights


class Surrogate(nn.Module):
    def forward(self, potential: Tensor) -> Tensor:
        return (potential >= 0).to(potential.dtype)


class Fire(nn.Module):
    """Integrates and fires at 1, to 0 after a spike; no library's, and not marked."""

    def __init__(self) -> None:
        super().__init__()
        self.surrogate = Surrogate()
        self.potential: Any = 0.0

    def forward(self, x: Tensor) -> Tensor:
        potential = self.potential + x
        spikes: Tensor = self.surrogate(potential - 1.0)
        self.potential = potential * (1 - spikes)
        return spikes


class Around(nn.Module):
    """A library's neuron in a module of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.core = neuron.IFNode()

    def forward(self, x: Tensor) -> Tensor:
        return self.core(x)


def network(kind: type[nn.Module] = Fire) -> nn.Module:
    layers = nn.Conv2d(1, 4, 3), kind(), nn.Flatten(), nn.Linear(64, 8), kind(), nn.Linear(8, 2)
    return with_weights(nn.Sequential(*layers))


def measured(model: nn.Module, neurons: Any = ()) -> Profile:
    return msvit_energy.profile(model, [numbers(3, 1, 6, 6), numbers(2, 1, 6, 6)], time_steps=4, neurons=neurons)


@pytest.mark.parametrize(
    "neurons",
    [Fire, [Fire], "Fire", "F?re", "[14]", {"1", "4"}, ("1", Fire)],
    ids=["class", "classes", "name", "pattern", "modules", "set", "both"],
)
def test_named_neurons_give_what_the_same_of_a_library_give(neurons: Any) -> None:
    named, known = measured(network(), neurons), measured(network(neuron.IFNode))
    assert [layer.neuron for layer in named.neurons] == ["1", "4"]
    assert (named.operators, named.neurons, named.overheads) == (known.operators, known.neurons, known.overheads)
    assert all(sum(layer.sums) for layer in named.neurons)
    assert msvit_energy.price(named, "appendix-c").total_pj == msvit_energy.price(known, "appendix-c").total_pj


def test_their_rates_are_the_means_of_what_they_emit() -> None:
    model, emitted = network(), {"1": 0.0, "4": 0.0}
    profile = measured(model, "Fire")
    for name in ("1", "4"):
        model.get_submodule(name).register_forward_hook(
            lambda _, args, spikes, name=name: emitted.update({name: emitted[name] + float(spikes.sum())})
        )
    for batch in (numbers(3, 1, 6, 6), numbers(2, 1, 6, 6)):
        for layer in (model.get_submodule("1"), model.get_submodule("4")):
            layer.potential = 0.0  # type: ignore[assignment]
        for _ in range(4):
            model(batch)
    elements = {"1": 5 * 4 * 64, "4": 5 * 4 * 8}
    assert {layer.neuron: layer.firing_rate for layer in profile.neurons} == pytest.approx(
        {name: emitted[name] / elements[name] for name in emitted}, rel=1e-12
    )


@pytest.mark.parametrize("neurons", [Around, "[14]", "[14]*"])
def test_what_is_inside_of_a_named_neuron_is_part_of_it(neurons: Any) -> None:
    profile, plain = measured(network(Around), neurons), measured(network(Around))
    assert [layer.neuron for layer in profile.neurons] == ["1", "4"]
    assert [layer.neuron for layer in plain.neurons] == ["1.core", "4.core"]
    assert [layer.sums for layer in profile.neurons] == [layer.sums for layer in plain.neurons]
    assert [entry.layer for entry in profile.overheads if entry.op == "neuron_update"] == ["1", "4"]


def test_what_was_named_is_in_the_profile() -> None:
    model = measured(network(), [Fire, "4"]).provenance.model
    assert model
    assert model.neurons == ("Fire", "4")
    plain = measured(network(neuron.IFNode)).provenance
    assert "neurons" not in plain.as_mapping()["model"]


@pytest.mark.parametrize(
    ("neurons", "message"),
    [
        ("Fier", r"no module is called 'Fier' or is of such a class, so there are no such neurons; .*: Fire"),
        (["Fire", "surogate"], r"no module is called 'surogate'.*: .*1\.surrogate"),
        (Around, r"no module is called 'Around'"),
        (dict, r"neurons are named by classes of modules, or by patterns of names, not by <class 'dict'>"),
        (3 * [1], r"not by 1$"),
    ],
)
def test_a_name_that_is_none_is_refused(neurons: Collection[Any], message: str) -> None:
    def never() -> Any:
        yield numbers(1, 1, 6, 6)
        raise AssertionError

    with pytest.raises(EnergyError, match=message):
        msvit_energy.profile(network(), never(), time_steps=4, neurons=neurons)


def test_a_model_of_one_neuron_may_be_named_by_its_class() -> None:
    model = Fire()
    assert model in named_neurons(model, "Fire")
    assert model.surrogate not in named_neurons(model, "Fire")
    profile = msvit_energy.profile(model, [torch.full((2, 3), 0.5)], time_steps=4, feed="step", neurons="Fire")
    assert profile.neurons[0].sums == (0, 6, 0, 6)


NET = """
import torch
from torch import nn

class Fire(nn.Module):
    def forward(self, x):
        potential = getattr(self, "potential", 0.0) + x
        spikes = (potential >= 1).to(x.dtype)
        self.potential = potential * (1 - spikes)
        return spikes

def make():
    return nn.Sequential(nn.Conv2d(1, 4, 3), Fire(), nn.Flatten(), nn.Linear(400, 10))
"""


def test_neurons_are_named_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("named_net.py").write_text(NET)
    asked = ["profile", "--model", "named_net:make", "--input-size", "1x12x12", "--images", "3", "--time-steps", "2"]
    assert run(monkeypatch, *asked, "--neurons", "Fire", "--out", "out") == 0
    assert [layer.neuron for layer in Profile.load("out/profile.json").neurons] == ["1"]
    capsys.readouterr()
    assert run(monkeypatch, *asked, "--neurons", "Fire, lif*") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no module is called 'lif*'" in line
