"""What is found out of a model and its data, what is asked, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import snntorch
import torch
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based.layer import Conv2d
from torch import Tensor, nn

import msvit_energy
from msvit_energy import EnergyError
from msvit_energy.profiles.provenance import InputOrigin
from msvit_energy.recording.feeding.input_modes import InputMode
from msvit_energy.recording.feeding.mode_detection import FoundMode, find_mode
from msvit_energy.recording.state.model_state import RestState
from tests.msvit_energy.recording.test_input_modes import Fire, FireOver
from tests.support.foreign_models import Forward, numbers, with_weights


def found(model: nn.Module, batch: Tensor, time_steps: int | None = None, **given: Any) -> FoundMode:
    return find_mode(model, batch, RestState(model), time_steps=time_steps, **given)


def mlp(fire: Callable[[], nn.Module]) -> nn.Module:
    return with_weights(nn.Sequential(nn.Linear(28, 16), fire(), nn.Linear(16, 10)))


def multi_step() -> nn.Module:
    return neuron.IFNode(step_mode="m")


def looping(axis: int, **attributes: int) -> nn.Module:
    """snnTorch's neurons in a loop over an axis of the input."""

    def run(s: Any, x: Tensor) -> Tensor:
        potential, outputs = s.fire.reset_mem(), []
        for step in x.unbind(axis):
            spikes, potential = s.fire(s.a(step), potential)
            outputs.append(s.head(spikes))
        return torch.stack(outputs)

    model = Forward(run, a=nn.Linear(28, 16), fire=snntorch.Leaky(beta=0.5), head=nn.Linear(16, 10))
    for name, value in attributes.items():
        setattr(model, name, value)
    return with_weights(model)


def repeating(steps: int) -> nn.Module:
    """A model that repeats the image by itself."""
    model = Forward(lambda s, x: s.inner(x.expand(steps, *x.shape)).mean(0), inner=mlp(multi_step))
    return with_weights(model)


def with_own_t(model: nn.Module, name: str, value: Any) -> nn.Module:
    setattr(model, name, value)
    return model


# What a batch is handed over as


def test_what_one_call_receives() -> None:
    images, frames = numbers(2, 5, 7), numbers(2, 3, 5, 7)
    shapes = {"image": (2, 5, 7), "time-first": (3, 2, 5, 7), "batch-first": (2, 3, 5, 7), "time-last": (2, 5, 7, 3)}
    for feed, shape in shapes.items():
        repeated = InputMode(feed, False, 3).arranged(images)
        assert repeated.shape == shape
        axis = {"time-first": 0, "batch-first": 1, "time-last": 3}.get(feed)
        if axis is not None:
            moved = InputMode(feed, True, 3).arranged(frames)
            assert moved.shape == shape
            assert moved.is_contiguous()
            for step in range(3):
                assert torch.equal(repeated.select(axis, step), images)
                assert torch.equal(moved.select(axis, step), frames[:, step])
    assert torch.equal(InputMode("step", True, 3).arranged(frames, 2), frames[:, 2])
    assert [InputMode(feed, False, 3).steps_per_call for feed in (*shapes, "step")] == [3, 3, 3, 3, 1]
    assert InputMode("sequence", False, 3) == InputMode("time-first", False, 3)


# T


@pytest.mark.parametrize("name", ["T", "num_steps", "n_steps", "step"])
def test_t_is_read_from_the_model(name: str) -> None:
    model = with_own_t(mlp(neuron.IFNode), name, 5)
    assert found(model, numbers(3, 28)) == FoundMode(InputMode("step", False, 5), "probes", "default", "model")
    assert found(model, numbers(3, 28), 2).mode.time_steps == 2


@pytest.mark.parametrize("value", [0, True, 2.5, None, "4"])
def test_what_is_no_number_of_steps_is_no_t(value: Any) -> None:
    with pytest.raises(EnergyError, match=r"^nothing says how many time steps the model runs, .*; pass time_steps=$"):
        found(with_own_t(mlp(neuron.IFNode), "T", value), numbers(3, 28))


@pytest.mark.parametrize("fire", [neuron.IFNode, multi_step, Fire, lambda: FireOver(0), lambda: FireOver(1)])
def test_without_any_t_neurons_that_keep_a_state_are_refused(fire: Callable[[], nn.Module]) -> None:
    with pytest.raises(EnergyError, match=r"pass time_steps= \(or frames=True, if batches are \[B, T, \.\.\.\]\)$"):
        found(mlp(fire), numbers(3, 9, 28))


@pytest.mark.parametrize("steps", [2, 3, 4, 6])
def test_t_is_counted_in_the_models_own_loop(steps: int) -> None:
    loop = Forward(lambda s, x: sum(s.inner(x) for _ in range(steps)), inner=mlp(neuron.IFNode))
    own = Forward(lambda s, x: s.inner(x.expand(steps, *x.shape)).mean(0), inner=mlp(lambda: FireOver(0)))
    for model in (loop, repeating(steps), own):
        assert found(model, numbers(3, 28)) == FoundMode(InputMode("image", False, steps), "probes", "default", "loop")


def test_neurons_without_a_state_and_networks_without_neurons_run_once() -> None:
    class Above(nn.Module):
        activation_op = "neuron"

        def forward(self, x: Tensor) -> Tensor:
            return (x > 0.25).to(x.dtype)

    assert found(mlp(Above), numbers(3, 28)).mode == InputMode("image", False, 1)
    assert found(mlp(Above), numbers(3, 28), 4).mode == InputMode("step", False, 4)
    assert found(mlp(nn.ReLU), numbers(3, 28)) == FoundMode(InputMode("image", False, 1), *["default"] * 3)


def test_t_of_frames_is_that_of_the_data() -> None:
    batch = numbers(3, 6, 28)
    assert found(mlp(neuron.IFNode), batch, frames=True) == FoundMode(
        InputMode("step", True, 6), "probes", "given", "data"
    )
    with pytest.raises(EnergyError, match=r"one of shape \[3, 6, 28\] has T = 6, but time_steps is 4$"):
        found(mlp(neuron.IFNode), batch, 4, frames=True)
    with pytest.raises(EnergyError, match=r"one of shape \[3, 6, 28\] has T = 6, but the model's own T is 5$"):
        found(with_own_t(mlp(neuron.IFNode), "T", 5), batch, frames=True)


# Whether a batch carries T


@pytest.mark.parametrize("fire", [neuron.IFNode, multi_step, Fire, lambda: FireOver(0)])
@pytest.mark.parametrize("shape", [(4, 6, 28), (6, 4, 28)])
def test_data_that_may_be_read_in_two_ways_are_refused(shape: tuple[int, ...], fire: Callable[[], nn.Module]) -> None:
    with pytest.raises(EnergyError, match=r"fits as images and as frames.* pass frames=True .* frames=False"):
        found(mlp(fire), numbers(*shape), 6)


def test_what_is_said_of_such_data_decides() -> None:
    """By hand: 28 x 16 + 16 x 10 MACs of each of four samples, or of each of six rows of an image."""
    batch, model = numbers(4, 6, 28), mlp(multi_step)
    as_frames, as_images = (msvit_energy.profile(model, [batch], time_steps=6, frames=each) for each in (True, False))
    turned = msvit_energy.profile(model, [batch.transpose(0, 1).transpose(0, 1)], frames=True)
    assert (as_frames.images, as_frames.macs_per_step) == (4, 608)
    assert (as_images.images, as_images.macs_per_step) == (4, 6 * 608)
    assert turned.operators == as_frames.operators
    assert as_frames.provenance.input == InputOrigin("time-first", True, "probes", "given", "given")


def convolutional(step_mode: str) -> nn.Module:
    fire = neuron.IFNode(step_mode=step_mode)
    return with_weights(nn.Sequential(Conv2d(2, 4, 3, step_mode=step_mode), fire, nn.Flatten(3 - (step_mode == "s"))))


@pytest.mark.parametrize(("step_mode", "feed"), [("s", "step"), ("m", "time-first")])
def test_frames_are_known_by_what_the_model_takes(step_mode: str, feed: str) -> None:
    mode = found(convolutional(step_mode), numbers(3, 6, 2, 5, 5), 6)
    assert mode == FoundMode(InputMode(feed, True, 6), "probes", "probes", "given")


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_data_with_t_in_front_are_to_be_turned(step_mode: str) -> None:
    with pytest.raises(EnergyError, match=r"has T = 6 in front; give it as .*x\.transpose\(0, 1\), with frames=True$"):
        found(convolutional(step_mode), numbers(6, 3, 2, 5, 5), 6)


@pytest.mark.parametrize("step_mode", ["s", "m"])
@pytest.mark.parametrize("steps", [2, 3, 5])
def test_images_with_as_many_channels_rows_or_images_as_steps_are_images(steps: int, step_mode: str) -> None:
    for batch in (numbers(3, 2, 5, 5), numbers(2, 2, 5, 5), numbers(5, 2, 5, 5)):
        assert not found(convolutional(step_mode), batch, steps).mode.frames


def test_a_loop_over_an_axis_of_the_data_is_one_over_t() -> None:
    """The axis of images would be no T of the model's own, however long it is."""
    for batch in (numbers(4, 6, 28), numbers(6, 6, 28), numbers(1, 6, 28)):
        assert found(looping(1), batch, frames=True).mode == InputMode("batch-first", True, 6)
        assert found(looping(0), batch, frames=True).mode == InputMode("time-first", True, 6)
    assert found(looping(1), numbers(4, 6, 28)).mode.time_steps == 6
    with pytest.raises(EnergyError, match="nothing says how many time steps"):
        found(looping(0), numbers(6, 4, 28))
    with pytest.raises(EnergyError, match=r"frames with T in front.* x\.transpose\(0, 1\), with frames=True"):
        found(looping(0), numbers(6, 4, 28), 6)


def test_a_given_feed_leaves_the_question_of_frames() -> None:
    with pytest.raises(EnergyError, match="pass frames=True"):
        found(mlp(multi_step), numbers(4, 6, 28), 6, feed="time-first")
    with pytest.raises(EnergyError, match=r"has T = 6 in front"):
        found(mlp(multi_step), numbers(6, 4, 28), 6, feed="image")
    given = found(mlp(multi_step), numbers(4, 5, 28), 6, feed="sequence")
    assert given == FoundMode(InputMode("time-first", False, 6), "given", "default", "given")


# What home-made neurons do is seen in what they emit


def test_a_batch_of_vectors_is_no_time() -> None:
    """Neurons over the first axis of a network of vectors, T = 1: together or one by one, they start from rest."""
    images = numbers(8, 28).abs()
    for fire in (lambda: FireOver(0), multi_step):
        whole = msvit_energy.profile(mlp(fire), [images], time_steps=1)
        assert whole == msvit_energy.profile(mlp(fire), images.split(1), time_steps=1)
        with torch.no_grad():
            alone = sum(int(mlp(fire)[:2](image.unsqueeze(0)).sum()) for image in images.split(1))
        assert whole.neurons[0].sums == (alone,)


class Membrane(nn.Module):
    """A threshold that remembers nothing; what it is fed with does. Over an axis of time, or a step in each call."""

    def __init__(self, axis: int | None = None) -> None:
        super().__init__()
        self.axis, self.potential = axis, torch.zeros(())
        self.threshold = Threshold()

    def step(self, x: Tensor) -> Tensor:
        charged = self.potential + x
        spikes = self.threshold(charged)
        self.potential = charged - spikes
        return spikes

    def forward(self, x: Tensor) -> Tensor:
        if self.axis is None:
            return self.step(x)
        self.potential = torch.zeros(())
        return torch.stack([self.step(step) for step in x.unbind(self.axis)], self.axis)


class Threshold(nn.Module):
    activation_op = "neuron"

    def __init__(self, threshold: float = 1.0) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        return (x >= self.threshold).to(x.dtype)


class Unmarked(Membrane):
    """The same, and nothing that says what it is."""

    def __init__(self, axis: int | None = None) -> None:
        super().__init__(axis)
        self.threshold = nn.Threshold(1.0, 0.0)


@pytest.mark.parametrize("kind", [Membrane, Unmarked])
@pytest.mark.parametrize(("axis", "feed"), [(None, "step"), (0, "time-first"), (1, "batch-first")])
def test_a_state_outside_of_the_neuron_is_seen(axis: int | None, feed: str, kind: type[Membrane]) -> None:
    assert found(mlp(lambda: kind(axis)), numbers(3, 28), 4).mode == InputMode(feed, False, 4)


class Counting(nn.Module):
    """A threshold on what a sum over the first axis gained, all at once; it goes on from the call before."""

    def __init__(self, threshold: float = 1.0) -> None:
        super().__init__()
        self.sums, self.threshold = torch.zeros(()), Threshold(threshold)

    def forward(self, x: Tensor) -> Tensor:
        sums = self.sums + x.clamp(min=0).cumsum(0)
        gained = sums.floor().diff(dim=0, prepend=(self.sums + 0 * x[:1]).floor())
        self.sums = sums[-1]
        return self.threshold(gained)


def test_what_mixes_images_is_no_way_to_feed() -> None:
    """Called with images, it remembers the call before as well, but counts over the images."""
    assert found(mlp(Counting), numbers(3, 28), 4).mode == InputMode("time-first", False, 4)


def test_a_model_that_hides_how_it_runs_is_to_be_fed_by_hand() -> None:
    """It repeats the image, and what remembers is not the neuron."""

    class Restarting(Counting):
        def forward(self, x: Tensor) -> Tensor:
            self.sums = torch.zeros(())
            return super().forward(x)

    model = Forward(lambda s, x: s.inner(x.expand(4, *x.shape)).mean(0), inner=mlp(Restarting))
    with pytest.raises(EnergyError, match=r"^feed='image' and feed='step' both fit"):
        found(model, numbers(3, 28), 4)
    with pytest.raises(EnergyError, match="nothing says how many time steps"):
        found(model, numbers(3, 28))
    assert found(model, numbers(3, 28), 4, feed="image").mode == InputMode("image", False, 4)


def test_neurons_that_never_fire_show_nothing() -> None:
    message = r"^no way of feeding a batch of shape \[3, 28\] fits .*its neurons do not fire; pass feed=$"
    with pytest.raises(EnergyError, match=message):
        found(mlp(lambda: Counting(1e9)), numbers(3, 28), 4)


def test_neurons_that_stay_silent_for_the_images_are_tried_with_others() -> None:
    assert found(mlp(Fire), torch.zeros(3, 28), 4).mode == InputMode("step", False, 4)
    assert found(mlp(lambda: FireOver(1)), torch.zeros(3, 28), 4).mode == InputMode("batch-first", False, 4)


def test_random_encoders_are_no_obstacle() -> None:
    class Encoder(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (torch.rand_like(x) < x).to(x.dtype)

    for fire, feed in ((Fire, "step"), (lambda: FireOver(0), "time-first")):
        model = nn.Sequential(Encoder(), *mlp(fire))
        assert found(model, numbers(3, 28).abs(), 4).mode == InputMode(feed, False, 4)


def both(threshold: float) -> nn.Module:
    """Neurons that run over time where there is an axis of it, else a step in each call, perhaps with a higher
    threshold."""

    class Both(Fire):
        def forward(self, x: Tensor) -> Tensor:
            if x.dim() == 3:
                return FireOver(0)(x)
            return super().forward(x / threshold)

    return mlp(Both)


def test_two_ways_that_fit_are_one_if_they_give_the_same() -> None:
    assert found(both(1.0), numbers(3, 28), 4).mode.feed == "step"
    with pytest.raises(EnergyError, match=r"^feed='step' and feed='time-first' both fit, .*; pass one$"):
        found(both(2.0), numbers(3, 28), 4)


# What refuses everything


def test_the_refusal_of_the_forward_that_got_furthest_is_shown() -> None:
    message = r"called with \[\d+, \d+, 7, 5, 5\] it raises RuntimeError: .* 7 channels"
    with pytest.raises(EnergyError, match=message) as error:
        found(convolutional("m"), numbers(3, 7, 5, 5), 4)
    assert "\n" not in str(error.value)
    assert "(image, time-first, batch-first, time-last)" in str(error.value)
    assert isinstance(error.value.__cause__, RuntimeError)


def test_a_state_that_leaks_is_said_to_be_the_reason() -> None:
    class Leaking(Fire):
        kept: Any = 0.0

        def forward(self, x: Tensor) -> Tensor:
            known = isinstance(Leaking.kept, Tensor) and Leaking.kept.shape == x.shape
            self.potential = Leaking.kept if known else 0.0
            spikes = super().forward(x)
            Leaking.kept = self.potential
            return spikes

    with pytest.raises(EnergyError, match=r"a state leaks from one to the next; pass reset=, a callable"):
        found(mlp(Leaking), numbers(3, 28).abs(), 4)


def test_probes_leave_nothing_behind() -> None:
    class Counted(Fire):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + torch.rand_like(x))

    for fire in (Counted, neuron.LIFNode, multi_step):
        model, batch = mlp(fire), numbers(3, 28)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        random, images, attributes = torch.get_rng_state(), batch.clone(), dict(vars(model[1]))
        found(model, batch, 4)
        assert torch.equal(torch.get_rng_state(), random)
        assert torch.equal(batch, images)
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert vars(model[1]) == attributes


@pytest.mark.parametrize("fire", [Fire, neuron.IFNode])
def test_a_forward_that_writes_to_its_input_writes_to_copies(fire: Callable[[], nn.Module]) -> None:
    model, batch = Forward(lambda s, x: sum(s.inner(x.mul_(2)) for _ in range(2)), inner=mlp(fire)), numbers(3, 28)
    assert found(model, batch).mode == InputMode("image", False, 2)
    assert torch.equal(batch, numbers(3, 28))


@pytest.mark.parametrize(
    ("fire", "axis", "forwards", "refused"),
    [(neuron.IFNode, None, 1, 0), (multi_step, 0, 2, 0), (multi_step, 1, 3, 1), (multi_step, 2, 4, 3)],
    ids=["step", "time-first", "batch-first", "time-last"],
)
def test_neurons_of_libraries_need_few_probes(
    fire: Callable[[], nn.Module], axis: int | None, forwards: int, refused: int
) -> None:
    """Of shapes alone; what the model refuses is run again for what it then says."""
    calls: list[int] = []
    with_values: list[int] = []

    def run(s: Any, x: Tensor) -> Tensor:
        (calls if x.is_meta else with_values).append(1)
        return s.inner(x if axis is None else x.movedim(-1 if axis == 2 else axis, 0))

    found(Forward(run, inner=mlp(fire)), numbers(3, 28), 4)
    assert len(calls) == forwards
    assert len(with_values) == refused
