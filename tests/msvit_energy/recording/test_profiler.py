"""The profiler against reference vectors, hand formulas, another counter and itself on other batches."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import msvit
import msvit_energy
from msvit.classifier import SpikingClassifier
from msvit_energy import EnergyError, Profile
from tests.support import parity


@pytest.fixture(scope="module")
def cifar() -> Profile:
    """The profile of msvit_cifar on the weights and input of a reference vector."""
    model = msvit.create_model("msvit_cifar").double()
    return msvit_energy.profile(model, [parity.draw(model, parity.read("msvit/cifar10.parity.json"))])


@pytest.mark.slow
def test_frames_hold_what_other_code_relies_on(cifar: Profile) -> None:
    columns = {"layer", "stage", "op", "kind", "macs_per_step", "runs_per_image", "input_rate", "nonzero_rate", "sops"}
    assert columns <= set(cifar.to_frame().columns)
    neurons = cifar.neurons_frame()
    assert {"neuron", "time_step", "firing_rate"} <= set(neurons.columns)
    assert sorted(set(neurons.time_step)) == [0, 1, 2, 3]
    means = neurons.groupby("neuron").firing_rate.mean()
    assert all(means[layer.neuron] == pytest.approx(layer.firing_rate, rel=1e-12) for layer in cifar.neurons)


@pytest.mark.slow
def test_input_kinds_follow_the_data_flow(cifar: Profile) -> None:
    kinds = cifar.to_frame().set_index("layer").kind
    assert kinds["patch_embed1.proj_conv"] == kinds["head"] == "analog"
    stream = ["q_conv", "k_conv", "p_conv", "v_conv", "mlp1_conv", "proj3_conv", "fc1_conv"]
    assert {kinds[layer] for layer in kinds.index if layer.split(".")[-1] in stream} == {"integer"}
    after_neurons = ["proj1_conv", "mlp2_conv", "fc2_conv", "proj4_conv", "kv", "qkv"]
    assert {kinds[layer] for layer in kinds.index if layer.split(".")[-1] in after_neurons} == {"binary"}


def hand_macs() -> Iterator[tuple[str, int]]:
    """Dense MACs per layer of the CIFAR configuration: C_out * H_out * W_out * C_in * taps, written out."""
    area = {1: 32 * 32, 2: 16 * 16, 3: 8 * 8}
    yield "patch_embed1.proj_conv", 96 * area[1] * 3 * 9
    yield "patch_embed1.proj1_conv", 192 * area[1] * 96 * 9
    yield "patch_embed1.proj_res_conv", 192 * area[1] * 96
    for embed, width_in, width in ((2, 192, 192), (3, 192, 384)):
        yield f"patch_embed{embed}.proj3_conv", width * area[embed - 1] * width_in * 9
        yield f"patch_embed{embed}.proj4_conv", width * area[embed - 1] * width * 9  # pooled only afterwards
        yield f"patch_embed{embed}.proj_res_conv", width * area[embed] * width_in
    for block, attention, width in (("stage1.0", "tssa", 192), ("stage2.0", "tssa", 192), *(
        (f"stage3.{n}", "ssa", 384) for n in range(2)
    )):  # fmt: skip
        tokens = area[int(block[5])]
        for name, taps in (("q", 1), ("k", 1), ("p" if attention == "tssa" else "v", 3 if attention == "tssa" else 1)):
            yield f"{block}.{attention}.{name}_conv", width * tokens * width * taps
        yield f"{block}.{attention}.proj_conv", width * tokens * width
        if attention == "ssa":
            yield f"{block}.ssa.product.kv", 8 * tokens * 48 * 48
            yield f"{block}.ssa.product.qkv", 8 * tokens * 48 * 48
        yield f"{block}.mlp.mlp1_conv", 4 * width * tokens * width
        yield f"{block}.mlp.mlp2_conv", width * tokens * 4 * width
    yield "head", 384 * 10


def test_dense_macs_equal_hand_formulas(cifar: Profile) -> None:
    assert cifar.to_frame().set_index("layer").macs_per_step.to_dict() == dict(hand_macs())


def test_dense_macs_equal_half_of_torchs_flops(small_model: SpikingClassifier) -> None:
    image = torch.randn(1, 1, 12, 12, dtype=torch.float64)
    profile = msvit_energy.profile(small_model, [image], time_steps=1)
    small_model.time_steps = 1
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        small_model(image)
    assert 2 * profile.macs_per_step == counter.get_total_flops()


@pytest.mark.slow
def test_rates_equal_a_plain_mean_over_stored_tensors(small_model: SpikingClassifier) -> None:
    images = torch.randn(5, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    profile = msvit_energy.profile(small_model, images.split(2))
    inputs: dict[str, list[Tensor]] = {}
    for layer in ("stage2.0.tssa.p_conv", "stage3.0.mlp.mlp1_conv"):
        module = small_model.get_submodule(layer)
        module.register_forward_pre_hook(lambda _, args, layer=layer: inputs.setdefault(layer, []).append(args[0]))
    with torch.no_grad():
        small_model(images)
    rows = profile.to_frame().set_index("layer")
    for layer, (values,) in inputs.items():
        assert rows.input_rate[layer] == pytest.approx(values.mean().item(), rel=1e-12)
        assert rows.nonzero_rate[layer] == pytest.approx((values != 0).double().mean().item(), rel=1e-12)
        assert rows.kind[layer] == "integer"


@pytest.mark.slow
def test_any_split_and_order_of_the_images_gives_the_same_profile(small_model: SpikingClassifier) -> None:
    images = torch.randn(7, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    whole = msvit_energy.profile(small_model, [images])
    assert whole.firing_rate is not None
    assert whole.firing_rate > 0.05
    for batches in (images.split(1), images.split(3), images.flip(0).split(2)):
        assert msvit_energy.profile(small_model, batches) == whole


@pytest.mark.slow
def test_float32_batches_agree_to_a_thousandth(small_model: SpikingClassifier) -> None:
    images = torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(2))
    model = small_model.float()
    one, all_ = (msvit_energy.profile(model, images.split(size)).to_frame().sops.sum() for size in (1, 8))
    assert one == pytest.approx(all_, rel=1e-3)


@pytest.mark.slow
def test_model_comes_back_as_it_was(small_model: SpikingClassifier) -> None:
    small_model.train()
    small_model.head.eval()
    before = {name: value.clone() for name, value in small_model.state_dict().items()}
    msvit_energy.profile(small_model, [torch.randn(2, 1, 12, 12)], time_steps=2)
    assert small_model.time_steps == 4
    assert small_model.training
    assert not small_model.head.training
    assert not any(module._forward_hooks for module in small_model.modules())
    assert all(torch.equal(before[name], value) for name, value in small_model.state_dict().items())


class HandModel(nn.Module):
    """Convolution, neuron, linear layer, neuron, head: small enough for paper and pencil. T first, merged with B."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, kernel_size=2, bias=False)
        self.fire1 = neuron.IFNode(v_threshold=1.0, step_mode="m")
        self.linear = nn.Linear(2, 3, bias=False)
        self.fire2 = neuron.IFNode(v_threshold=1.0, step_mode="m")
        self.head = nn.Linear(3, 2)
        nn.init.constant_(self.conv.weight[0:1], 0.125)
        nn.init.constant_(self.conv.weight[1:2], 0.25)
        nn.init.constant_(self.linear.weight, 0.5)

    def forward(self, image: Tensor) -> Tensor:  # [B, 1, 2, 2]
        current = self.conv(image).flatten(1).expand(4, -1, -1)  # [4, B, 2]
        spikes = self.fire1(current)
        spikes = self.fire2(self.linear(spikes.flatten(0, 1)).unflatten(0, (4, -1)))
        return self.head(spikes.mean(0))


def test_hand_computed_example() -> None:
    # Image of ones: currents 0.5 and 1.0. IF, threshold 1, T = 4:
    #   neuron 1 fires at steps 1, 3 (from 0); neuron 2 at every step: sums per step 1, 2, 1, 2
    #   rate 6 / 8 = 0.75; linear gets 0.5, 1, 0.5, 1 -> its 3 neurons: 0.5 -, 1.5 spike, 0.5 -, 1.5 spike
    #   rate of fire2 = (0 + 3 + 0 + 3) / 12 = 0.5
    # Dense MACs: conv 2 * 1 * 4 = 8; linear 2 * 3 = 6; head 3 * 2 = 6.
    # SOPs of linear = 0.75 * 4 * 6 = 18. Energy = 4.6 * 8 + 0.9 * 18 = 36.8 + 16.2 = 53.0 pJ.
    profile = msvit_energy.profile(HandModel(), [torch.ones(3, 1, 2, 2)], time_steps=4)
    rows = profile.to_frame().set_index("layer")
    assert rows.macs_per_step.to_dict() == {"conv": 8, "linear": 6, "head": 6}
    assert rows.runs_per_image.to_dict() == {"conv": 1, "linear": 4, "head": 1}
    assert rows.input_rate[["conv", "linear"]].tolist() == [1.0, 0.75]
    assert profile.operators[-1].driver.rate == 0.5  # of real numbers, so it is no rate of spikes
    assert math.isnan(rows.input_rate["head"])
    assert rows.sops["linear"] == 18
    assert profile.neurons[0].firing_rates == (0.5, 1.0, 0.5, 1.0)
    assert profile.neurons[1].firing_rates == (0.0, 1.0, 0.0, 1.0)


def test_hand_computed_example_with_an_analog_image_costs_53_pj() -> None:
    image = torch.ones(1, 1, 2, 2)
    image[0, 0, 0, 0], image[0, 0, 1, 1] = 0.5, 1.5  # the same currents
    report = msvit_energy.price(msvit_energy.profile(HandModel(), [image], time_steps=4))
    rows = report.to_frame().set_index("layer")
    assert (report.macs, report.acs) == (8, 18)
    assert rows.energy_pj.to_dict() == {"conv": 4.6 * 8, "linear": 0.9 * 18, "head": 0.0}
    assert report.total_pj == pytest.approx(53.0, rel=1e-15)
    assert report.total_mj == pytest.approx(53.0e-9, rel=1e-15)
    assert report.ann_mj == pytest.approx(4.6 * 20 / 1e9, rel=1e-15)


def test_single_step_models_called_once_per_step_are_counted() -> None:
    class Looped(HandModel):
        def forward(self, image: Tensor) -> Tensor:
            outputs = []
            for module in (self.fire1, self.fire2):
                module.step_mode = "s"
            for _ in range(4):
                spikes = self.fire1(self.conv(image).flatten(1))
                outputs.append(self.fire2(self.linear(spikes)))
            return self.head(torch.stack(outputs).mean(0))

    looped = msvit_energy.profile(Looped(), [torch.ones(3, 1, 2, 2)], time_steps=4)
    stepped = msvit_energy.profile(HandModel(), [torch.ones(3, 1, 2, 2)], time_steps=4)
    assert looped.neurons == stepped.neurons
    assert looped.to_frame().set_index("layer").sops["linear"] == 18
    assert looped.to_frame().set_index("layer").runs_per_image["conv"] == 4
    assert looped.overhead_totals()["neuron_update"] == stepped.overhead_totals()["neuron_update"] == 4 * (2 + 3)


@pytest.mark.slow
def test_silent_layers_are_reported(small_model: SpikingClassifier) -> None:
    torch.nn.init.constant_(small_model.get_submodule("stage3.0.ssa.q_bn").bias, -100.0)
    profile = msvit_energy.profile(small_model, [torch.randn(1, 1, 12, 12)])
    assert any("stage3.0.ssa.q_lif" in note and "never fire" in note for note in profile.warnings())


@pytest.mark.slow
def test_overheads_are_listed_with_their_elements(small_model: SpikingClassifier) -> None:
    profile = msvit_energy.profile(small_model, [torch.randn(2, 1, 12, 12)])
    elements = {overhead.layer: overhead.elements_per_image for overhead in profile.overheads}
    assert elements["patch_embed1.proj_bn"] == 16 * 144  # once: an image is constant in time
    assert elements["patch_embed1.proj_lif"] == 4 * 16 * 144
    assert elements["stage1.0.tssa.q_sum"] == 4 * 32 * 144
    assert elements["stage1.0.tssa.mask"] == 4 * 32 * 144
    assert elements["stage1.0.mlp.mlp1_conv.bias"] == 4 * 128 * 144
    assert elements["patch_embed2.proj4_maxpool"] == 4 * 32 * 144
    assert elements["head.bias"] == 10


@pytest.mark.slow
def test_profile_survives_json(small_model: SpikingClassifier, tmp_path: Path) -> None:
    labels = torch.tensor([1, -1, 3])
    profile = msvit_energy.profile(
        small_model, [(torch.randn(3, 1, 12, 12), labels)], provenance={"model": {"name": "m"}}
    )
    profile.save(tmp_path / "profile.json")
    loaded = Profile.load(tmp_path / "profile.json")
    assert loaded == profile
    assert loaded.labelled == 2
    assert msvit_energy.price(loaded) == msvit_energy.price(profile)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a profile"),
        ("[]", "version None"),
        ('{"version": 99}', "version 99"),
        ('{"version": 1}', r"version 1, this program reads 2 \(measure again\)"),
        ('{"version": 2}', "damaged"),
        ('{"version": 2', "is not a profile"),
    ],
)
def test_damaged_profiles_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(EnergyError, match=message):
        Profile.load(tmp_path / "p.json")


def test_a_missing_profile_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match="cannot read profile"):
        Profile.load(tmp_path / "none.json")


def test_wrong_time_steps_nan_and_no_images_are_named(small_model: SpikingClassifier) -> None:
    with pytest.raises(EnergyError, match="no images"):
        msvit_energy.profile(small_model, [])
    with pytest.raises(EnergyError, match="at least 1, not 0"):
        msvit_energy.profile(small_model, [torch.zeros(1, 1, 12, 12)], time_steps=0)
    with pytest.raises(EnergyError, match="runs over 4 time steps by itself, not 3; pass time_steps = 4"):
        msvit_energy.profile(HandModel(), [torch.zeros(1, 1, 2, 2)], time_steps=3)
    for bad in (torch.nan, torch.inf):
        with pytest.raises(EnergyError, match=rf"patch_embed1.proj_conv: values from {bad} to {bad}; the weights or"):
            msvit_energy.profile(small_model, [torch.full((1, 1, 12, 12), bad)])


@pytest.mark.slow
def test_profile_json_is_plain_data(small_model: SpikingClassifier, tmp_path: Path) -> None:
    msvit_energy.profile(small_model, [torch.randn(1, 1, 12, 12)]).save(tmp_path / "p.json")
    content = json.loads((tmp_path / "p.json").read_text())
    first = content["operators"][0]
    assert (content["version"], first["layer"], first["op"], first["role"]) == (
        2, "patch_embed1.proj_conv", "conv2d", "entrance"
    )  # fmt: skip


@pytest.mark.parametrize("damaged", ["0", "1"])
def test_nan_that_a_neuron_swallows_is_named(damaged: str) -> None:
    """IF neurons fed with NaN stay silent, so no operator ever reads it."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), neuron.IFNode(), nn.Flatten(), nn.Linear(8, 3))
    model.get_submodule(damaged).weight.data[0] = torch.nan  # type: ignore[index, operator, union-attr]
    with pytest.raises(EnergyError, match=rf"^{damaged}: its output has NaN; the weights or the input are damaged$"):
        msvit_energy.profile(model, [torch.rand(2, 1, 4, 4)], time_steps=2)


def test_no_tf32_while_a_model_is_measured_and_afterwards_what_the_user_had(small_model: SpikingClassifier) -> None:
    """On a GPU it would round the input of every convolution to 10 bits."""
    seen: list[bool] = []

    def look(*call: object) -> None:
        seen.append(torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)

    handle = small_model.register_forward_pre_hook(look)
    before = torch.backends.cudnn.allow_tf32
    assert before
    msvit_energy.profile(small_model, [torch.rand(2, *small_model.input_size)])
    handle.remove()
    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
