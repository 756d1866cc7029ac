"""Every family against the official implementations: parameters, keys, dense MACs, and reference vectors."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import msvit
import msvit_energy
from msvit.attention import Matmul
from msvit_energy import Profile
from msvit_energy.dense.graph import trace
from msvit_energy.geometry import geometry
from msvit_energy.meta_tensors import ShapesOnly
from tests.support import parity


class Official(NamedTuple):
    """An official configuration in tests/data, our name for it and the arguments that make it."""

    config: str
    name: str
    args: dict[str, Any]


OFFICIAL = [
    Official("msvit/imagenet_10_384", "msvit_10_384", {}),
    Official("msvit/imagenet_10_512", "msvit_10_512", {}),
    Official("msvit/imagenet_10_768", "msvit_10_768", {}),
    Official("msvit/cifar10", "msvit_cifar", {}),
    Official("msvit/cifar10_100classes", "msvit_cifar", {"num_classes": 100}),
    Official("msvit/cifar100_qq", "msvit_cifar_qq", {}),
    Official("qkformer/imagenet_10_384", "qkformer_10_384", {}),
    Official("qkformer/imagenet_10_512", "qkformer_10_512", {}),
    Official("qkformer/imagenet_10_768", "qkformer_10_768", {}),
    Official("qkformer/cifar10", "qkformer_cifar", {}),
    Official("qkformer/cifar100", "qkformer_cifar", {"num_classes": 100}),
    Official("qkformer/cifar10dvs", "qkformer_dvs", {}),
    Official("qkformer/dvs128gesture", "qkformer_gesture", {}),
    Official("spikformer/imagenet_8_384", "spikformer_8_384", {}),
    Official("spikformer/imagenet_8_512", "spikformer_8_512", {}),
    Official("spikformer/imagenet_8_768", "spikformer_8_768", {}),
    Official("spikformer/cifar10_4_384", "spikformer_cifar", {}),
    Official("spikformer/cifar10dvs", "spikformer_dvs", {}),
    Official("spikingformer/imagenet_8_384", "spikingformer_8_384", {}),
    Official("spikingformer/imagenet_8_512", "spikingformer_8_512", {}),
    Official("spikingformer/imagenet_8_768", "spikingformer_8_768", {}),
    Official("spikingformer/cifar10_4_384", "spikingformer_cifar", {}),
    Official("spikingformer/cifar10dvs", "spikingformer_dvs", {}),
    Official("sdt/imagenet_8_384", "sdt_8_384", {}),
    Official("sdt/imagenet_8_512", "sdt_8_512", {}),
    Official("sdt/imagenet_8_768", "sdt_8_768", {}),
    Official("sdt/imagenet_10_512", "sdt_10_512", {}),
    Official("sdt/imagenet_10_384", "sdt_10_512", {"dim": 384}),
    Official("sdt/imagenet_6_512", "sdt_6_512", {}),
    Official("sdt/cifar10_2_512", "sdt_cifar", {}),
    Official("sdt/cifar10_2_256", "sdt_cifar_2_256", {}),
    Official("sdt/cifar10dvs_2_256", "sdt_dvs", {}),
    Official("sdt/gesture_2_256", "sdt_gesture", {}),
    Official("sdtv2/imagenet_15m", "sdtv2_15m", {}),
    Official("sdtv2/imagenet_31m", "sdtv2_31m", {}),
    Official("sdtv2/imagenet_55m", "sdtv2_55m", {}),
    Official("sdtv2/imagenet_124m", "sdtv2_55m", {"dims": (192, 384, 768, 960)}),
    Official("spikingresformer/imagenet_ti", "spikingresformer_ti", {}),
    Official("spikingresformer/imagenet_s", "spikingresformer_s", {}),
    Official("spikingresformer/imagenet_m", "spikingresformer_m", {}),
    Official("spikingresformer/imagenet_l", "spikingresformer_l", {}),
    Official("maxformer/maxformer_imagenet_10_384", "maxformer_10_384", {}),
    Official("maxformer/maxformer_imagenet_10_512", "maxformer_10_512", {}),
    Official("maxformer/maxformer_imagenet_10_768", "maxformer_10_768", {}),
    Official("maxformer/maxformer_cifar10", "maxformer_cifar", {}),
    Official("maxformer/maxformer_cifar100", "maxformer_cifar", {"num_classes": 100}),
    Official("maxformer/maxformer_cifar10dvs", "maxformer_dvs", {}),
    Official("maxformer/maxformer_dvsgesture", "maxformer_gesture", {}),
    Official("maxformer/ms_qkformer_imagenet_10_384", "ms_qkformer_10_384", {}),
    Official("maxformer/ms_qkformer_imagenet_10_512", "ms_qkformer_10_512", {}),
    Official("maxformer/ms_qkformer_imagenet_10_768", "ms_qkformer_10_768", {}),
    Official("maxformer/ms_qkformer_cifar10", "ms_qkformer_cifar", {}),
    Official("maxformer/ms_qkformer_cifar100", "ms_qkformer_cifar", {"num_classes": 100}),
    Official("maxformer/max_resnet18_cifar10", "max_resnet18_cifar", {}),
    Official("maxformer/max_resnet18_cifar100", "max_resnet18_cifar", {"num_classes": 100}),
]
OFFICIAL += [
    Official("cml/spikingformer_imagenet_8_384", "cml_spikingformer_8_384", {}),
    Official("cml/spikingformer_imagenet_8_512", "cml_spikingformer_8_512", {}),
    Official("cml/spikingformer_imagenet_8_768", "cml_spikingformer_8_768", {}),
    Official("cml/spikingformer_cifar10_4_384", "cml_spikingformer_cifar", {}),
    Official("cml/spikingformer_cifar100_4_384", "cml_spikingformer_cifar100", {}),
    Official("cml/spikingformer_cifar10_4_256", "cml_spikingformer_cifar_4_256", {}),
    Official("cml/spikingformer_cifar10_2_384", "cml_spikingformer_cifar_2_384", {}),
    Official("cml/spikingformer_cifar10dvs", "cml_spikingformer_dvs", {}),
    Official("cml/spikingformer_dvs128gesture", "cml_spikingformer_gesture", {}),
    Official("cml/spikformer_cifar10_4_384", "cml_spikformer_cifar", {}),
    Official("cml/spikformer_cifar100_4_384", "cml_spikformer_cifar100", {}),
    Official("cml/spikformer_cifar10_4_256", "cml_spikformer_cifar_4_256", {}),
    Official("cml/spikformer_cifar10_2_384", "cml_spikformer_cifar_2_384", {}),
    # counted over one step, so in chunks of one
    Official("statten/imagenet_8_512", "statten_8_512", {"chunk": 1}),
    Official("statten/imagenet_8_768", "statten_8_768", {"chunk": 1}),
    Official("statten/cifar10_2_512", "statten_cifar", {"chunk": 1}),
    Official("statten/cifar100_2_512", "statten_cifar", {"chunk": 1, "num_classes": 100}),
    Official("statten/cifar10_2_256", "statten_cifar_2_256", {"chunk": 1}),
    Official("statten/cifar100_2_256", "statten_cifar_2_256", {"chunk": 1, "num_classes": 100}),
    Official("statten/cifar10dvs_t10", "statten_dvs", {"chunk": 1}),
    Official("statten/cifar10dvs_t16", "statten_dvs", {"chunk": 1, "time_steps": 16}),
    Official("statten/ncaltech101_t10", "statten_caltech", {"chunk": 1}),
    Official("statten/ncaltech101_t16", "statten_caltech", {"chunk": 1, "time_steps": 16}),
    Official("resnet19/cifar10", "resnet19_cifar", {}),
    Official("resnet19/cifar100", "resnet19_cifar", {"num_classes": 100}),
]
OFFICIAL += [
    Official("sdtv3/imagenet_t", "sdtv3_3m", {}),
    Official("sdtv3/imagenet_s", "sdtv3_5m", {}),
    Official("sdtv3/imagenet_m", "sdtv3_10m", {}),
    Official("sdtv3/imagenet_l", "sdtv3_19m", {}),
    Official("sdtv3/imagenet_12_512", "sdtv3_83m", {}),
    Official("sdtv3/imagenet_12_512_kd", "sdtv3_83m", {"kd": True}),
    Official("sdtv3/imagenet_12_768", "sdtv3_171m", {}),
    Official("sdtv3/imagenet_12_768_kd", "sdtv3_171m", {"kd": True}),
    Official("sew_resnet/imagenet_18", "sew_resnet18", {}),
    Official("sew_resnet/imagenet_34", "sew_resnet34", {}),
    Official("sew_resnet/imagenet_50", "sew_resnet50", {}),
    Official("sew_resnet/imagenet_101", "sew_resnet101", {}),
    Official("sew_resnet/imagenet_152", "sew_resnet152", {}),
    Official("ms_resnet/imagenet_18", "ms_resnet18", {}),
    Official("ms_resnet/imagenet_34", "ms_resnet34", {}),
    Official("ms_resnet/imagenet_104", "ms_resnet104", {}),
]
VECTORS = [
    Official("msvit/cifar10", "msvit_cifar", {}),
    Official("msvit/cifar10_batch2", "msvit_cifar", {"merge_time_and_batch": True}),
    Official("msvit/imagenet_10_384", "msvit_10_384", {}),
    Official("qkformer/cifar10", "qkformer_cifar", {}),
    Official("qkformer/cifar10_batch2", "qkformer_cifar", {"merge_time_and_batch": True}),
    Official("spikformer/cifar10_4_384", "spikformer_cifar", {}),
    Official("spikingformer/cifar10_4_384", "spikingformer_cifar", {}),
    Official("sdt/cifar10_2_512", "sdt_cifar", {}),
    Official("sdtv2/imagenet_15m", "sdtv2_15m", {}),
    Official("maxformer/maxformer_cifar10", "maxformer_cifar", {}),
]
VECTORS += [
    Official("cml/spikingformer_cifar10_4_384", "cml_spikingformer_cifar", {}),
    Official("cml/spikformer_cifar10_4_384", "cml_spikformer_cifar", {}),
    Official("statten/cifar10_2_512", "statten_cifar", {}),
    Official("resnet19/cifar10", "resnet19_cifar", {"tet": True}),
]
VECTORS += [
    Official("sdtv3/imagenet_s", "sdtv3_5m", {}),
    Official("sew_resnet/imagenet_18", "sew_resnet18", {}),
    Official("ms_resnet/imagenet_18", "ms_resnet18", {}),
]


def by_config(official: Official) -> str:
    return official.config


@pytest.mark.parametrize("official", OFFICIAL, ids=by_config)
def test_parameters_and_state_dict_are_the_official_ones(official: Official) -> None:
    with torch.device("meta"):
        model = msvit.create_model(official.name, **official.args)
    facts = parity.read(f"{official.config}.flops.json")
    assert sum(parameter.numel() for parameter in model.parameters()) == facts["params"]
    ours = [(key, "x".join(map(str, tensor.shape))) for key, tensor in model.state_dict().items()]
    assert ours == parity.keys(f"{official.config}.keys.csv")


@pytest.mark.slow
@pytest.mark.parametrize("official", OFFICIAL, ids=by_config)
def test_dense_macs_per_layer_are_the_recorded_ones(official: Official) -> None:
    facts = parity.read(f"{official.config}.flops.json")
    with torch.device("meta"):
        model = msvit.create_model(official.name, **official.args | {"time_steps": 1}).eval()
    products = [name for name, module in model.named_modules() if isinstance(module, Matmul)]
    layers = facts["macs_conv_linear_by_module"]
    with ShapesOnly():  # the same graph as with values (tests/msvit_energy/dense), in a tenth of the time
        counted = trace(model, torch.zeros(1, *model.input_size, device="meta"), []).own_macs
    assert {name: counted[name] for name in layers} == layers
    assert not any(macs for name, macs in counted.items() if name not in layers and name not in products)
    for owner, macs in facts["macs_matmul_by_module"].items():
        assert sum(counted[name] for name in products if name.startswith(f"{owner}.") or name == owner) == macs


@pytest.mark.parametrize("official", OFFICIAL, ids=by_config)
def test_macs_of_the_hooks_from_shapes_alone_are_the_same_layer_by_layer(official: Official) -> None:
    facts = parity.read(f"{official.config}.flops.json")
    with torch.device("meta"):
        model = msvit.create_model(official.name, **official.args)
    operators = geometry(model, model.input_size, 2).operators
    layers = {operator.layer: operator.macs_per_step for operator in operators if operator.op != "matmul"}
    assert layers == facts["macs_conv_linear_by_module"]
    assert sum(operator.macs_per_step for operator in operators) == (
        facts["macs_conv_linear_total"] + facts["macs_matmul_total"]
    )


ANN_GMACS = {  # convolutions, linear layers and attention products, not normalisation
    "deit_base_patch16_224": 17.5638,
    "vit_base_patch16_384": 55.4844,
    "swin_tiny_patch4_window7_224": 4.4906,
    "swin_small_patch4_window7_224": 8.7409,
    "swin_base_patch4_window7_224": 15.4309,
    "swin_base_patch4_window12_384": 47.0831,
}


@pytest.mark.parametrize("name", ANN_GMACS)
def test_macs_of_artificial_networks_include_fused_attention(name: str) -> None:
    with torch.device("meta"):
        model = msvit.create_model(name)
    assert geometry(model, model.input_size, 1).macs_per_step / 1e9 == pytest.approx(ANN_GMACS[name], abs=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deit_base_patch16_224", "swin_tiny_patch4_window7_224"])
def test_fvcore_with_the_fused_attention_handler_agrees(name: str) -> None:
    model = msvit.create_model(name).eval()
    graph = trace(model, torch.zeros(1, *model.input_size), [])
    assert sum(graph.own_macs.values()) / 1e9 == pytest.approx(ANN_GMACS[name], abs=5e-5)
    assert "aten::scaled_dot_product_attention" not in graph.uncountable


class Run(NamedTuple):
    """A reference vector, the profile of our model on its weights and input, and the logits seen meanwhile."""

    facts: dict[str, Any]
    profile: Profile
    logits: Tensor


QUICK = ("spikformer/", "spikingformer/", "sdt/", "maxformer/")  # vectors that take two seconds; the others up to ten


def unless_quick(official: Official) -> Any:
    return pytest.param(official, marks=() if official.config.startswith(QUICK) else pytest.mark.slow)


@pytest.fixture(scope="module", params=[unless_quick(official) for official in VECTORS], ids=by_config)
def vector(request: pytest.FixtureRequest) -> Run:
    official: Official = request.param
    facts = parity.read(f"{official.config}.parity.json")
    model = msvit.create_model(official.name, **official.args).double()
    logits: list[Tensor] = []
    model.register_forward_hook(lambda _, args, output: logits.append(output.flatten().clone()))
    images = parity.draw(model, facts)
    assert images.sum().item() == pytest.approx(facts["input_sum"], abs=1e-9)
    profile = msvit_energy.profile(model, [images])
    return Run(facts, profile, max(logits, key=len))  # the first image also runs alone


def test_logits_equal_the_official_ones(vector: Run) -> None:
    expected = torch.tensor(vector.facts["logits"], dtype=torch.float64)
    torch.testing.assert_close(vector.logits, expected, rtol=0, atol=1e-9)


def test_neuron_means_equal_the_official_ones(vector: Run) -> None:
    # "spike@2" is the second call of one object, which is here a second one
    expected = {name.replace("@", ""): facts for name, facts in vector.facts["neurons"].items()}
    assert {layer.neuron for layer in vector.profile.neurons} == set(expected)
    for layer in vector.profile.neurons:
        mean = layer.firing_rate * layer.step  # of values, which are whole numbers times the step
        assert mean == pytest.approx(expected[layer.neuron]["mean"], abs=1e-9)


def test_layer_inputs_equal_the_official_ones(vector: Run) -> None:
    rows = vector.profile.to_frame().set_index("layer")
    drivers = {operator.layer: operator.driver for operator in vector.profile.operators}
    assert set(rows.index[rows.op != "matmul"]) == set(vector.facts["weighted_layers"])
    for layer, expected in vector.facts["weighted_layers"].items():
        step = drivers[layer].step
        assert drivers[layer].rate * step == pytest.approx(expected["input_mean"], abs=1e-9)
        assert rows.nonzero_rate[layer] == pytest.approx(expected["input_nonzero"], abs=1e-9)
        assert rows.input_max[layer] * step == pytest.approx(expected["input_max"], abs=1e-9)


def test_nothing_is_uncounted_and_rows_add_up(vector: Run) -> None:
    coverage = vector.profile.coverage
    assert (coverage.unknown, coverage.note) == ((), "")
    assert sum(coverage.counted.values()) == sum(operator.macs_per_image for operator in vector.profile.operators)
    assert vector.profile.to_frame().macs_per_step.sum() == vector.profile.macs_per_step


FAMILIES = [
    "msvit_digits",
    "qkformer_cifar",
    "qkformer_dvs",
    "spikformer_cifar",
    "spikingformer_cifar",
    "sdt_cifar_2_256",
    "maxformer_cifar",
    "maxformer_dvs",
    "ms_qkformer_cifar",
    "max_resnet18_cifar",
]
FAMILIES += ["cml_spikingformer_cifar", "cml_spikformer_cifar", "statten_cifar_2_256", "resnet19_cifar"]
FAMILIES += ["sdtv3_3m", "sew_resnet18", "ms_resnet18"]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_training_step_lowers_the_loss_and_reaches_every_used_parameter(name: str) -> None:
    torch.manual_seed(0)
    model = msvit.create_model(name, time_steps=2, num_classes=4).train()
    channels = model.input_size[0]
    side = max(12, 2 * model.total_stride)
    shape = (4, 2, channels, side, side) if channels == 2 else (4, channels, side, side)
    images, labels = torch.randn(shape) + 0.5, torch.arange(4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses: list[float] = []
    while len(losses) < 6 and not (losses and losses[-1] < losses[0]):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    unused = parity.UNUSED.get(name.split("_", maxsplit=1)[0], ())
    for key, parameter in model.named_parameters():
        if not any(part in key for part in unused):
            assert parameter.grad is not None, key
