"""Recurrent layers, attention, bilinear and quantised layers: against loops of cells, twins of plain calls, brute force
with weights of one, torch's counter, and by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn import functional as F

import msvit_energy
from msvit_energy import Profile
from msvit_energy.recording.module_calls import is_operator, of_module
from msvit_energy.recording.operator_calls import Call
from msvit_energy.recording.torch_functions import FUNCTIONS, described
from tests.support.foreign_models import Forward, with_weights
from tests.support.operators import spikes, torch_macs

T = 3


def first(output: Any) -> Tensor:
    while isinstance(output, tuple):
        output = output[0]
    return output


def fed_with_spikes(module: nn.Module, call: Callable[[Any, Tensor], Any] | None = None) -> nn.Module:
    """A network whose neuron feeds one module, or a call with it."""
    inside = call or (lambda part, x: part(x))
    parts = {"part": with_weights(module), "fire": neuron.IFNode(v_threshold=0.5)}
    return Forward(lambda model, x: first(inside(model.part, model.fire(x))), **parts).eval()


def profiled(model: nn.Module, images: Tensor) -> Profile:
    return msvit_energy.profile(model, [images], time_steps=T, feed="step", frames=False)


def emitted_by_the_neuron(images: Tensor) -> Tensor:
    """`[T, ...]`, from rest."""
    fire = neuron.IFNode(v_threshold=0.5)
    return torch.stack([fire(images) for _ in range(T)]).double()


def rand(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def events(call: Call) -> list[float]:
    return [float((stream.values * stream.reached).sum()) for stream in call.streams]


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)])
def test_a_cell_is_a_product_of_its_input_and_one_of_its_state(kind: type[nn.Module], gates: int) -> None:
    images = rand(4, 8)
    model = fed_with_spikes(kind(8, 6))
    profile = profiled(model, images)
    of_input, of_state = profile.operators
    assert (of_input.layer, of_state.layer) == ("part.linear", "part.linear_2")
    assert [each.macs_per_image for each in profile.operators] == [T * gates * 6 * 8, T * gates * 6 * 6]
    assert sum(each.macs_per_image for each in profile.operators) == T * torch_macs(model.part, images[:1])
    assert of_input.operands[0].kind == "binary"
    assert of_input.operands[0].origin == "spikes"
    assert float(of_input.events(4)) * 4 == emitted_by_the_neuron(images).sum() * gates * 6
    assert not profile.coverage.unknown and not profile.coverage.note


SEQUENCES = [
    (nn.LSTM, nn.LSTMCell, 4, {}),
    (nn.LSTM, nn.LSTMCell, 4, {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    (nn.GRU, nn.GRUCell, 3, {"bidirectional": True}),
    (nn.GRU, nn.GRUCell, 3, {"num_layers": 3, "batch_first": True, "bias": False}),
    (nn.RNN, nn.RNNCell, 1, {"num_layers": 2, "nonlinearity": "relu"}),
    (nn.RNN, nn.RNNCell, 1, {"num_layers": 2, "bidirectional": True}),
]


@pytest.mark.parametrize(("kind", "cell", "gates", "options"), SEQUENCES)
def test_a_layer_over_a_sequence_is_what_a_loop_of_cells_does(
    kind: type[nn.RNNBase], cell: type[nn.RNNCellBase], gates: int, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    layer = kind(8, 6, **options).double()
    ways = 2 if layer.bidirectional else 1
    sequence = spikes(2, 5, 8) if layer.batch_first else spikes(5, 2, 8)
    run = {nn.LSTM: torch.lstm, nn.GRU: torch.gru}.get(kind) or getattr(torch, f"rnn_{layer.nonlinearity}")
    start = torch.rand(layer.num_layers * ways, 2, 6).double()
    states: Any = [start, start.clone()] if kind is nn.LSTM else start
    flags = (layer.bias, layer.num_layers, 0.0, False, layer.bidirectional, layer.batch_first)
    calls = described(run, (sequence, states, layer._flat_weights, *flags), {})

    def by_hand() -> list[tuple[Tensor, Tensor]]:
        """What the input and the state of every direction of every layer are, `[L, B, ...]`."""
        found, x = [], sequence.transpose(0, 1) if layer.batch_first else sequence
        extra = {"nonlinearity": layer.nonlinearity} if kind is nn.RNN else {}
        for number in range(layer.num_layers):
            outputs = []
            for way in range(ways):
                own = cell(x.shape[-1], 6, bias=layer.bias, **extra).double()
                suffix = f"l{number}" + "_reverse" * way
                own.load_state_dict({n: getattr(layer, f"{n}_{suffix}") for n, _ in own.named_parameters()})
                hidden: Any = start[number * ways + way]
                state = (hidden, hidden) if kind is nn.LSTM else hidden
                before, after = [], []
                for step in range(5) if way == 0 else reversed(range(5)):
                    before.append(state[0] if kind is nn.LSTM else state)
                    state = own(x[step], state)
                    after.append(state[0] if kind is nn.LSTM else state)
                turned = 1 if way == 0 else -1
                found.append((x, torch.stack(before[::turned])))
                outputs.append(torch.stack(after[::turned]))
            x = torch.cat(outputs, -1)
        return found

    with torch.no_grad():
        expected = [tensor for pair in by_hand() for tensor in pair]
    assert len(calls) == len(expected)
    for call, values in zip(calls, expected, strict=True):
        (stream,) = call.streams
        seen = stream.values.transpose(0, 1) if layer.batch_first else stream.values
        assert torch.allclose(seen, values, atol=1e-12)
        assert stream.reached == gates * 6
        assert call.macs == values.numel() * gates * 6
        assert call.weight is not None and call.weight.shape == (gates * 6, values.shape[-1])


def test_a_layer_over_a_sequence_has_all_its_macs() -> None:
    """By hand: 5 tokens, 2 layers of 2 directions with 4 gates of 6; the first reads 8 and 6, the second 12 and 6."""
    layer = nn.LSTM(8, 6, 2, bidirectional=True, batch_first=True)
    profile = profiled(fed_with_spikes(layer), rand(4, 5, 8))
    assert sum(each.macs_per_image for each in profile.operators) == T * 5 * 2 * 24 * (8 + 6 + 12 + 6)
    assert [each.operands[0].origin for each in profile.operators[:4]] == ["spikes", "other"] * 2
    assert float(profile.operators[0].events(4)) * 4 == emitted_by_the_neuron(rand(4, 5, 8)).sum() * 24
    assert not profile.coverage.unknown and not profile.coverage.note


def test_what_stays_inside_of_a_projected_or_packed_lstm_is_unknown_with_its_macs() -> None:
    """By hand: 5 tokens through a projection of 6 to 3; a packed sequence of 5 tokens through 24 gates of 8 and 6."""
    projecting = fed_with_spikes(nn.LSTM(8, 6, proj_size=3, batch_first=True))
    (projected,) = profiled(projecting, rand(4, 5, 8)).coverage.unknown
    assert (projected.name, projected.macs_per_image) == ("part", T * 5 * 3 * 6)

    def packed(part: Any, x: Tensor) -> Tensor:
        together = nn.utils.rnn.pack_padded_sequence(x, [5] * len(x), batch_first=True)
        return part(together)[1][0][-1]

    profile = profiled(fed_with_spikes(nn.LSTM(8, 6, batch_first=True), packed), rand(4, 5, 8))
    unknown = {each.name: each.macs_per_image for each in profile.coverage.unknown}
    assert unknown["part"] == T * 5 * 24 * (8 + 6)
    assert not profile.operators


def test_a_recurrent_layer_inside_of_a_neuron_is_an_operator() -> None:
    """By hand: 3 tokens through 4 x 4 weights twice."""

    class OwnNeuron(nn.Module):
        activation_op = "neuron"

        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(4, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return (self.rnn(x)[0] > 0).to(x.dtype)

    profile = msvit_energy.profile(OwnNeuron(), [rand(2, 3, 4)], time_steps=1, feed="image")
    assert [(each.layer, each.macs_per_image) for each in profile.operators] == [
        ("rnn.linear", 3 * 4 * 4),
        ("rnn.linear_2", 3 * 4 * 4),
    ]
    assert not profile.coverage.unknown and not profile.coverage.note


# attention


def written_out(part: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """The same in plain calls, with weights that are views of the module's."""
    heads, (images, tokens, width) = part.num_heads, x.shape
    q, k, v = (
        each.view(images, tokens, heads, -1).transpose(1, 2).flatten(0, 1)
        for each in F.linear(x, part.in_proj_weight, part.in_proj_bias).chunk(3, -1)
    )
    shares = (q * math.sqrt(heads / width) @ k.transpose(1, 2)).softmax(-1)
    together = (shares @ v).view(images, heads, tokens, -1).transpose(1, 2).reshape(x.shape)
    return F.linear(together, part.out_proj.weight, part.out_proj.bias)


@pytest.mark.parametrize("fused", [True, False])
def test_attention_is_what_its_calls_are(fused: bool) -> None:
    def attend(part: Any, x: Tensor) -> Any:
        return part(x, x, x, average_attn_weights=False)

    module = nn.MultiheadAttention(8, 2, batch_first=True)
    own = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fused)
    try:
        found, expected = (profiled(fed_with_spikes(module, call), rand(4, 5, 8)) for call in (attend, written_out))
        assert torch.backends.mha.get_fastpath_enabled() == fused
    finally:
        torch.backends.mha.set_fastpath_enabled(own)
    assert [each.op for each in found.operators] == ["linear", "matmul", "matmul", "linear"]
    assert [each.layer for each in found.operators] == ["part.linear", "part.matmul", "part.matmul_2", "part.linear_2"]
    for one, other in zip(found.operators, expected.operators, strict=True):
        assert (one.op, one.macs_per_image) == (other.op, other.macs_per_image)
        assert [each.origin for each in one.operands] == [each.origin for each in other.operands]
        for mine, its in zip(one.operands, other.operands, strict=True):
            assert list(map(float, mine.sums)) == pytest.approx(list(map(float, its.sums)), rel=1e-5, abs=1e-5)
    assert found.operators[0].operands[0].kind == "binary"
    assert not found.coverage.unknown and not found.coverage.note


def test_no_forward_takes_the_fused_way_which_rounds_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first image has to give the same spikes whether it is observed or not."""
    taken = []
    fused = torch._native_multi_head_attention
    monkeypatch.setattr(torch, "_native_multi_head_attention", lambda *a, **k: taken.append(1) or fused(*a, **k))
    module = fed_with_spikes(nn.MultiheadAttention(8, 2, batch_first=True), lambda part, x: part(x, x, x))
    with torch.no_grad():
        module(rand(4, 5, 8))
    assert taken == [1]
    module.fire.reset()
    profiled(module, rand(4, 5, 8))
    assert taken == [1]


@pytest.mark.parametrize("options", [{"need_weights": False}, {"attn_mask": torch.zeros(5, 5)}, {"is_causal": False}])
@pytest.mark.parametrize("made", [{}, {"kdim": 4, "vdim": 2}, {"add_bias_kv": True, "add_zero_attn": True}])
def test_attention_of_any_kind_has_the_macs_that_torch_counts(made: dict[str, Any], options: dict[str, Any]) -> None:
    """A mask makes torch take the way of which it counts every product."""
    module = nn.MultiheadAttention(8, 2, batch_first=True, **made)
    mask = {"attn_mask": torch.zeros(5, 5), "need_weights": True}

    def attend(part: Any, x: Tensor, options: Any = options) -> Any:
        keys = x[..., : part.kdim], x[..., : part.vdim]
        return part(x, *(keys if "kdim" in made else (x, x)), **options)

    profile = profiled(fed_with_spikes(module, attend), rand(4, 5, 8))
    expected = torch_macs(lambda x: attend(module.eval(), x, mask), rand(1, 5, 8))
    assert sum(each.macs_per_image for each in profile.operators) == T * expected
    assert not profile.coverage.unknown and not profile.coverage.note


def test_a_layer_of_a_transformer_is_seen_whole() -> None:
    """By hand: attention of 5 tokens of 8, then 8 x 16 twice."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    profile = profiled(fed_with_spikes(layer), rand(4, 5, 8))
    expected = 5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8 + 2 * 5 * 8 * 16
    assert sum(each.macs_per_image for each in profile.operators) == T * expected
    assert not profile.coverage.unknown and not profile.coverage.note


# contractions


DOTS = {
    "two axes": (lambda s, x: torch.tensordot(x, s.w), (3, 4, 6), (4, 3, 4), 3 * 4 * 6),
    "number": (lambda s, x: torch.tensordot(x, s.w, 1), (4, 6), (5, 3, 4), 5 * 3 * 4 * 6),
    "named": (lambda s, x: torch.tensordot(x, s.w, dims=([1, -1], [2, 0])), (4, 6, 3), (5, 3, 4), 3 * 4 * 6),
    "inner": (lambda s, x: torch.inner(x, s.w), (6, 4), (5, 3, 4), 5 * 3 * 4 * 6),
    "method": (lambda s, x: x.inner(s.w), (4,), (5, 4), 5 * 4),
}


@pytest.mark.parametrize("name", ["number", "inner", "method"])
def test_contractions_by_name_are_operators(name: str) -> None:
    """Rows of images through one weight; MACs and events by hand."""
    function, shape, sizes, macs = DOTS[name]
    model = Forward(
        lambda s, x: function(s, s.fire(x)), w=nn.Parameter(rand(*shape)), fire=neuron.IFNode(v_threshold=0.5)
    )
    images = rand(*sizes)
    profile = profiled(model, images)
    (operator,) = profile.operators
    assert operator.macs_per_image == T * macs // sizes[0]
    reached = 6 if len(shape) > 1 else 1
    assert float(operator.events(len(images))) * len(images) == emitted_by_the_neuron(images).sum() * reached
    assert not profile.coverage.unknown and not profile.coverage.note


@pytest.mark.parametrize("name", DOTS)
def test_a_contraction_by_name_reaches_what_multiplying_gives(name: str) -> None:
    function, shape, sizes, _ = DOTS[name]
    a, b = spikes(*sizes, seed=1), 3 * spikes(*shape, seed=2)
    recorded: list[tuple[Call, ...]] = []

    class Describing(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in FUNCTIONS:
                recorded.append(described(func, args, kwargs or {}))
            return func(*args, **(kwargs or {}))

    def run(left: Tensor, right: Tensor) -> Tensor:
        with Describing():
            return function(Forward(lambda s, x: x, w=nn.Parameter(right, requires_grad=False)), left)

    run(a, b)
    (call,) = recorded[-1]
    assert events(call) == [float(run(a, torch.ones_like(b)).sum()), float(run(torch.ones_like(a), b).sum())]
    assert call.macs == run(torch.ones_like(a), torch.ones_like(b)).sum()
    assert call.pairs is not None


def test_a_bilinear_layer_is_a_linear_one_and_a_product() -> None:
    """By hand: 6 outputs of 8 x 7 weights on the second input, and 6 products of 8 on the first."""
    model = fed_with_spikes(nn.Bilinear(8, 7, 6), lambda part, x: part(x, x[:, :7]))
    images = rand(4, 8)
    profile = profiled(model, images)
    assert [(each.op, each.macs_per_image) for each in profile.operators] == [
        ("linear", T * 6 * 8 * 7),
        ("bilinear_product", T * 6 * 8),
    ]
    fired = emitted_by_the_neuron(images)
    assert [float(each.events(4)) * 4 for each in profile.operators] == [fired[..., :7].sum() * 6 * 8, fired.sum() * 6]
    assert not profile.coverage.unknown and not profile.coverage.note


# quantised weights


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_quantised_linear_layer_is_a_linear_layer() -> None:
    plain = fed_with_spikes(nn.Linear(8, 6))
    quantised = torch.ao.quantization.quantize_dynamic(plain, {nn.Linear})
    found, expected = (profiled(model, rand(4, 8)) for model in (quantised, plain))
    assert replace(found.operators[0], role="") == replace(expected.operators[0], role="")
    assert found.moments == expected.moments


CONVOLUTIONS = [
    (nn.Conv2d(4, 6, 3, padding=1, stride=2), (2, 4, 7, 7)),
    (nn.Conv2d(4, 6, (3, 1), padding=(1, 0), dilation=(2, 1), groups=2), (2, 4, 7, 6)),
    (nn.Conv1d(4, 6, 3), (2, 4, 9)),
    (nn.Conv3d(2, 3, 2, padding=1), (2, 2, 3, 4, 5)),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("plain", "shape"), CONVOLUTIONS)
def test_a_quantised_convolution_reaches_what_the_plain_one_does(plain: nn.Module, shape: tuple[int, ...]) -> None:
    plain.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    x = spikes(*shape).float()
    prepared = torch.ao.quantization.prepare(nn.Sequential(torch.ao.quantization.QuantStub(), plain).eval())
    prepared(x)
    quantised = torch.ao.quantization.convert(prepared)[1]
    assert is_operator(quantised)
    given = torch.quantize_per_tensor(x, 1.0, 0, torch.quint8)
    call, expected = of_module(quantised, (given,)), of_module(plain, (x,))
    assert call is not None and expected is not None
    assert (call.op, call.macs, events(call)) == (expected.op, expected.macs, events(expected))


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_network_keeps_its_spikes_in_scale() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fire, self.quant = neuron.IFNode(v_threshold=0.5), torch.ao.quantization.QuantStub()
            self.conv, self.fc = nn.Conv2d(2, 4, 3), nn.Linear(64, 5)
            self.dequant = torch.ao.quantization.DeQuantStub()

        def forward(self, x: Tensor) -> Tensor:
            return self.dequant(self.fc(self.conv(self.quant(self.fire(x))).flatten(1)))

    model = Network().eval()
    model.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    prepared = torch.ao.quantization.prepare(model)
    prepared(rand(4, 2, 6, 6))
    prepared.fire.reset()
    profile = profiled(torch.ao.quantization.convert(prepared), rand(4, 2, 6, 6))
    conv, fc = profile.operators
    assert (conv.macs_per_image, fc.macs_per_image) == (T * 16 * 4 * 18, T * 64 * 5)
    assert (conv.operands[0].origin, conv.operands[0].neurons) == ("scaled", ("fire",))
    assert sum(conv.operands[0].nonzeros) == int((emitted_by_the_neuron(rand(4, 2, 6, 6)) != 0).sum())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("plain", "shape", "macs"),
    [
        (nn.LSTM(8, 6, 2, bidirectional=True, batch_first=True), (4, 5, 8), 5 * 2 * 24 * (8 + 6 + 12 + 6)),
        (nn.GRU(8, 6, batch_first=True), (4, 5, 8), 5 * 18 * (8 + 6)),
        (nn.LSTMCell(8, 6), (4, 8), 24 * (8 + 6)),
        (nn.RNNCell(8, 6), (4, 8), 6 * (8 + 6)),
    ],
)
def test_a_quantised_recurrent_layer_is_unknown_with_its_macs(
    plain: nn.Module, shape: tuple[int, ...], macs: int
) -> None:
    model = torch.ao.quantization.quantize_dynamic(fed_with_spikes(plain), {type(plain)})
    (unknown,) = profiled(model, rand(*shape)).coverage.unknown
    assert (unknown.name, unknown.macs_per_image) == ("part", T * macs)


def over_time(cell: nn.LSTMCell) -> nn.Module:
    """The same weights in a layer over `[T, B, 8]`, fed by a neuron."""
    layer = nn.LSTM(8, 6).double()
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    parts = {"part": layer, "fire": neuron.IFNode(v_threshold=0.5, step_mode="m")}
    return Forward(lambda model, x: model.part(model.fire(x))[0], **parts).eval()


def in_a_loop(cell: nn.LSTMCell) -> nn.Module:
    def run(model: Any, x: Tensor) -> Tensor:
        state, outputs = None, []
        for frame in x:
            state = model.part(model.fire(frame), state)
            outputs.append(state[0])
        return torch.stack(outputs)

    return Forward(run, part=cell, fire=neuron.IFNode(v_threshold=0.5)).eval()


def test_cells_in_a_loop_over_time_are_one_layer_over_time() -> None:
    """Rates of single steps too; by hand, the state of step t is what a loop gives at step t - 1."""
    cell = with_weights(nn.LSTMCell(8, 6).double())
    images = rand(4, 8).double()
    options = {"time_steps": T, "feed": "time-first", "frames": False}
    loop, layer = (msvit_energy.profile(made(cell), [images], **options) for made in (in_a_loop, over_time))
    fired = emitted_by_the_neuron(images)
    with torch.no_grad():
        states = in_a_loop(cell)(images.expand(T, 4, 8))
    for profile in (loop, layer):
        of_input, of_state = profile.operators
        assert (of_input.runs_per_image, of_state.runs_per_image) == (T, T)
        assert list(map(float, of_input.operands[0].sums)) == fired.sum((1, 2)).tolist()
        expected = [0.0, *states[:-1].sum((1, 2)).tolist()]
        assert list(map(float, of_state.operands[0].sums)) == pytest.approx(expected, rel=1e-12)
        assert [each.macs_per_image for each in profile.operators] == [T * 24 * 8, T * 24 * 6]
        assert not profile.coverage.unknown and not profile.coverage.note
