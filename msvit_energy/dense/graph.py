"""Dense MACs of a model on a traced graph, by fvcore.

All contact with fvcore is here. Its unit is one multiply-accumulate, although it says "flops". Normalisation and
pooling, which it also counts, are not MACs of synapses and are left to the recorder's list of overheads.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from msvit_energy.dense.autograd_functions import FUNCTION, REDUCING, follows_from_inputs, name_of, operators_of
from msvit_energy.dense.graph_axes import constant, elements, sizes
from msvit_energy.dense.traced_output import traceable_output
from msvit_energy.dense.written_products import PACK, WrittenProducts, written_products
from msvit_energy.meta_tensors import ShapesOnly

with warnings.catch_warnings():
    # fvcore compiles an unrelated loss with torch.jit.script on import, which is nothing that its users could change
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import einsum_flop_jit

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
FUSED_ATTENTION = "scaled_dot_product_attention"
MAC_OPERATORS = ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum", FUSED_ATTENTION)
# operators of the graph without synapses, which fvcore neither counts nor ignores by itself
FREE = frozenset(
    f"aten::{name}{suffix}"
    for name in (
        # moving, selecting and making data
        "unflatten flatten embedding _weight_norm numpy_T mT mH t movedim tile repeat roll flip pad constant_pad_nd "
        "expand_as view_as reshape_as broadcast_to tensor_split unsafe_chunk index_select "
        "im2col index index_put gather scatter where copy clone fill zero zeros ones full arange empty linspace "
        "meshgrid new_zeros new_ones zeros_like ones_like empty_like unfold topk sort masked_fill bernoulli rand "
        "rand_like randn randn_like normal dropout feature_dropout upsample_nearest2d upsample_bilinear2d tril triu "
        "one_hot "
        # residual additions, scaling, averages: work per element, by convention not synaptic
        "add sub rsub mul div neg abs pow sqrt rsqrt square mean sum var std max min amax amin maximum minimum clamp "
        "clamp_min clamp_max cumsum prod norm linalg_vector_norm reciprocal remainder floor round ceil sign lerp "
        "addcmul addcdiv exp log erf tanh sigmoid hardsigmoid relu gelu silu elu leaky_relu hardtanh hardswish "
        "softplus softmax log_softmax heaviside gt ge lt le eq ne logical_and logical_or logical_not __and__ __or__ "
        "bitwise_and bitwise_not argmax "
        # pooling, normalisation
        "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_max_pool2d "
        "adaptive_max_pool1d adaptive_avg_pool2d adaptive_avg_pool3d instance_norm group_norm layer_norm batch_norm "
    ).split()
    for suffix in ("", "_")
)


# parts of the names of operators that are never mere work per element, not even inside a neuron
HEAVY = tuple(
    "mm matmul ::mv addmv ::addr ::inner ::outer kron conv linear einsum rnn lstm gru attention fft dot bilinear cdist "
    "cosine_similarity pairwise_distance".split()
)


def is_heavy(operator: str) -> bool:
    """Whether an operator's name is that of more than work per element."""
    return any(part in operator for part in HEAVY)


@dataclass(frozen=True)
class Graph:
    """One forward as fvcore sees it: MACs of every module without its children, and operators that it cannot count
    outside the modules that are reported anyway (operator -> calls). Of these, `work_per_element` are the autograd
    functions whose forward runs nothing else, and `written` the products that are a multiplication and a sum."""

    own_macs: dict[str, int]
    uncountable: dict[str, int]
    work_per_element: frozenset[str] = frozenset()
    written: tuple[WrittenProducts, ...] = ()

    def is_free(self, operator: str) -> bool:
        """Whether an operator that fvcore cannot count has no synapses."""
        return operator in FREE or operator in self.work_per_element


def fused_attention_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """q k^T and its product with v, which fvcore does not know: `[..., N, d]`, `[..., M, d]`, `[..., M, e]`."""
    (*batch, queries, width), (*_, keys, _), (*_, width_out) = (value.type().sizes() for value in inputs[:3])
    return Counter({FUSED_ATTENTION: math.prod(batch) * queries * keys * (width + width_out)})


def matmul_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """Any product of vectors and matrices, of which fvcore's own handler knows only some: outputs x inner axis."""
    (shape,), inner = (value.type().sizes() for value in outputs), inputs[0].type().sizes()[-1]
    return Counter({"matmul": math.prod(shape) * inner})


def padded_convolution_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """A convolution whose padding is "same" or "valid", with weight `[O, C / groups, *taps]`."""
    (shape,), weight = (value.type().sizes() for value in outputs), inputs[1].type().sizes()
    return Counter({"conv": math.prod(shape) * math.prod(weight[1:])})


def einsum_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """A contraction. Of two tensors it has one product for each combination of all their letters: fvcore rounds this to
    four digits, and halves it where nothing is added up. Of one tensor it has none; of more what fvcore says."""
    shapes = [value.type().sizes() for value in inputs[1].node().inputs()]
    if len(shapes) != 2:
        return Counter({"einsum": int(einsum_flop_jit(inputs, outputs)) if len(shapes) > 2 else 0})
    operands = inputs[0].toIValue().replace(" ", "").partition("->")[0]
    letters = "".join(dict.fromkeys(letter for letter in operands if letter.isalpha()))
    every = torch.einsum(f"{operands}->...{letters}", *(torch.empty(shape, device="meta") for shape in shapes))
    return Counter({"einsum": every.numel()})


def added_product_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """A batch of products that is added to something: its second argument times its third."""
    (batch, n, k), (_, _, m) = (value.type().sizes() for value in inputs[1:3])
    return Counter({"bmm": batch * n * k * m})


def recurrent_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """Layers over a sequence: every weight meets every step of every image once. Of a packed one the first input has
    all steps; the weights are the last list of tensors."""
    lists = [list(value.node().inputs()) for value in inputs if value.node().kind() == PACK]
    weights = [sizes(value) for value in lists[-1] if value.isCompleteTensor()]
    *steps, _ = sizes(inputs[0])
    return Counter({"linear": math.prod(steps) * sum(math.prod(shape) for shape in weights if len(shape) == 2)})


def contraction_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """`tensordot` over named axes, and `inner` over the last one: outputs x summed axes."""
    named = constant(inputs[2]) if len(inputs) > 2 else [-1]
    summed = math.prod(sizes(inputs[0])[axis] for axis in named) if sizes(inputs[0]) else 1
    return Counter({"einsum": elements(outputs[0]) * summed})


def bilinear_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """x1 W x2 with weight `[out, in1, in2]`: W x2, and what that gives times x1."""
    *rows, width = sizes(inputs[0])
    out, _, other = sizes(inputs[2])
    return Counter({"linear": math.prod(rows) * out * width * (other + 1)})


class _Analysis(FlopCountAnalysis):
    """fvcore's, which also notes what autograd functions do, and products that are written as several operators."""

    def __init__(
        self, model: nn.Module, inputs: tuple[Tensor, ...], listed: Collection[str], neurons: Collection[str]
    ) -> None:
        super().__init__(model, inputs)
        self.written: tuple[WrittenProducts, ...] | None = None  # before the graph is there
        self._listed, self._neurons = listed, neurons
        self.heavy: set[str] = set()  # functions that run operators with MACs
        self._light: set[str] = set()
        self._opaque: set[str] = set()

    @property
    def work_per_element(self) -> frozenset[str]:
        """Functions that run nothing but free operators, wherever they are called."""
        return frozenset(self._light - self._opaque - self.heavy)

    def _should_ignore_node(self, node: Any) -> bool:
        if self.written is None:
            self.written = written_products(node.owningBlock().nodes(), self._listed, self._neurons)
        if node.kind() == FUNCTION:
            operators = set(operators_of(node))
            free = all(self._is_free(operator) for operator in operators) and follows_from_inputs(node)
            (self._light if free else self._opaque).add(name_of(node))
            if any(is_heavy(operator) for operator in operators):
                self.heavy.add(name_of(node))
        return bool(super()._should_ignore_node(node))

    def _is_free(self, operator: str) -> bool:
        """Of a function inside of another the operators are checked themselves."""
        if operator.startswith("prim::"):
            return not operator.startswith("prim::Call")
        reduces = any(part in operator for part in REDUCING)
        return not reduces and (operator in FREE or operator in self._ignored_ops)


@contextmanager
def _hooks_taken_back(model: nn.Module) -> Iterator[None]:
    """No hooks but the model's own afterwards: fvcore leaves its own where a forward fails."""
    own = [(hooks, set(hooks)) for m in nn.Module.modules(model) for hooks in (m._forward_pre_hooks, m._forward_hooks)]
    try:
        yield
    finally:
        for hooks, before in own:
            for number in hooks.keys() - before:
                del hooks[number]


def graph_of(
    model: nn.Module,
    inputs: Tensor,
    listed: Collection[str],
    neurons: Collection[str],
    *,
    restore: Callable[[], None],
    doubted: Callable[[Graph], bool],
    kept: dict[Hashable, Graph] | None = None,
) -> Graph:
    """The graph of one call with `inputs`, as of `trace`; raises what the tracer raises.

    Shapes alone go through the model where that works. Values follow only if it does not, or if the graph is `doubted`
    so that it is to be seen with values too. `restore` puts the model to rest. `kept` has the graphs of earlier calls
    with this model; a graph that only values gave may depend on them, and is not kept.
    """
    known = {} if kept is None else kept
    key = (tuple(inputs.shape), inputs.dtype, getattr(model, "time_steps", None), tuple(listed), tuple(neurons))
    if key in known:
        return known[key]
    try:
        graph = _of_shapes(model, inputs, listed, neurons)
        if graph is None or doubted(graph):
            restore()
            with_values = trace(model, inputs, listed, neurons)
            if with_values != graph:
                return with_values
            graph = with_values
    finally:
        restore()
    known[key] = graph
    return graph


def _of_shapes(model: nn.Module, inputs: Tensor, listed: Collection[str], neurons: Collection[str]) -> Graph | None:
    try:
        with torch.inference_mode(False), ShapesOnly():
            return trace(model, inputs.to("meta"), listed, neurons)
    except Exception:  # somebody's model can take values anywhere
        return None


def trace(model: nn.Module, inputs: Tensor, listed: Collection[str], neurons: Collection[str] = ()) -> Graph:
    """Trace `model` on the inputs of one image, in evaluation mode.

    `listed` are leaf modules that are reported as overhead: what fvcore finds in those is not reported again. Of
    `neurons` that is true for work per element and for functions of their own (surrogate gradients) only.
    """
    analysis = _Analysis(model, (inputs,), listed, neurons)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle(f"aten::{FUSED_ATTENTION}", fused_attention_macs)
    analysis.set_op_handle("aten::matmul", matmul_macs)
    analysis.set_op_handle("aten::mv", matmul_macs)
    analysis.set_op_handle("aten::baddbmm", added_product_macs)
    analysis.set_op_handle("aten::_convolution_mode", padded_convolution_macs)
    analysis.set_op_handle("aten::einsum", einsum_macs)
    analysis.set_op_handle(**dict.fromkeys((f"aten::{name}" for name in RECURRENT), recurrent_macs))
    analysis.set_op_handle(**dict.fromkeys(("aten::tensordot", "aten::inner"), contraction_macs))
    analysis.set_op_handle("aten::bilinear", bilinear_macs)
    with torch.no_grad(), _hooks_taken_back(model), traceable_output(model):
        inclusive = {
            name: sum(int(counts[op]) for op in MAC_OPERATORS)
            for name, counts in analysis.by_module_and_operator().items()
        }
    own = dict(inclusive)
    for name, macs in inclusive.items():
        if name:  # the parent's count includes this one
            own[name.rpartition(".")[0]] -= macs
    uncountable = Counter(analysis.unsupported_ops())
    for name in listed:
        uncountable -= analysis.unsupported_ops(name)
    for name in neurons:
        inside = analysis.unsupported_ops(name)
        heavy = {op for op in inside if is_heavy(op)} | analysis.heavy
        uncountable -= Counter({op: calls for op, calls in inside.items() if op not in heavy})
    return Graph(own, dict(uncountable), analysis.work_per_element & uncountable.keys(), analysis.written or ())
