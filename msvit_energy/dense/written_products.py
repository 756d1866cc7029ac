"""Products of synapses that are written as a multiplication of elements and a sum: `(z[..., None] * w).sum(-2)`.

Either operator is free by itself. Together they are a matrix product if the sum runs along an axis on which both
factors vary: one that is constant there, such as a residual scale, or the gate of squeeze-and-excite before a mean over
positions, could as well multiply the sum. Two more are no products of synapses:
- functions of single elements, such as squares and x * sigmoid(x), whose factors are made from the same tensors;
- the mean of gated values, which is pooling.
Not found: sums that are written as additions, which look like the dynamics of a neuron, and pooling.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from msvit_energy.dense.graph_axes import (
    REORDERING,
    RESHAPING,
    Axes,
    constant,
    elements,
    every_axis,
    from_the_end,
    inserted,
    moved,
    operator_of,
    removed,
    sizes,
    varying,
)

UNPACK, PACK = "prim::ListUnpack", "prim::ListConstruct"
SUMS = ("sum", "mean", "cumsum", "einsum")
GATES = frozenset("sigmoid hardsigmoid tanh hardtanh rsqrt reciprocal".split())
# an element of the output is a function of one element of each input
ELEMENTWISE = GATES.union(
    "add sub rsub mul div neg abs pow sqrt square exp log sign round floor ceil clamp clamp_min clamp_max relu gelu "
    "silu elu leaky_relu hardswish softplus erf heaviside gt ge lt le eq ne logical_not to type_as clone "
    "contiguous".split()
)
MOST_SOURCES = 8  # of an element; what has more, as after many time steps, is its own
STATISTICS = ("mean", "sum", "var", "std", "amax", "amin", "norm", "linalg_vector_norm")
ADDING = ("add", "sub", "rsub")
PARTS = frozenset("select unbind slice narrow chunk split split_with_sizes tensor_split index index_select".split())
# products stay products, and gates stay gates
CARRYING = RESHAPING.union(
    REORDERING,
    ADDING,
    PARTS,
    "stack cat div neg contiguous clone to type_as detach expand expand_as broadcast_to repeat tile dropout "
    "feature_dropout where masked_fill tril triu roll flip pad constant_pad_nd copy index_put gather "
    "upsample_nearest2d upsample_bilinear2d".split(),
)


@dataclass(frozen=True)
class WrittenProducts:
    """All products of a module that end in the same kind of sum: how often in one forward, and their MACs."""

    module: str
    written_as: str
    calls: int
    macs: int


@dataclass(frozen=True)
class Multiplied:
    """A tensor of products, for which a module made `macs` multiplications: the axes along which both factors vary, and
    those along which they do but one is a gate."""

    module: str
    macs: int
    axes: Axes
    gated: Axes

    def along(self, move: Callable[[Axes], Axes]) -> "Multiplied":
        """The same with its axes elsewhere."""
        return replace(self, axes=move(self.axes), gated=move(self.gated))


def written_products(
    nodes: Iterable[Any], listed: Collection[str], neurons: Collection[str]
) -> tuple[WrittenProducts, ...]:
    """The products in the nodes of a traced graph, in the order of their first sums. What modules that are `listed`
    anyway do is left out; what `neurons` multiply is work per element."""
    search = _Search(frozenset(listed), frozenset(neurons))
    for node in nodes:
        search.follow(node)
    return tuple(
        WrittenProducts(module, f"mul and {last}", len(macs), sum(macs))
        for (module, last), macs in search.found.items()
    )


class _Search:
    """What is known of the values of a graph, node by node."""

    def __init__(self, listed: frozenset[str], neurons: frozenset[str]) -> None:
        self.found: dict[tuple[str, str], list[int]] = {}  # module and kind of sum -> MACs of each
        self._listed, self._neurons = listed, neurons
        self._products: dict[str, Multiplied] = {}
        self._sources: dict[str, frozenset[Hashable]] = {}  # what functions of single elements are made from
        self._gates: set[str] = set()

    def follow(self, node: Any) -> None:
        """The next node."""
        outputs = list(node.outputs())
        if node.kind() == UNPACK:
            node = next(node.inputs()).node()
        module = node.scopeName().rpartition("/")[2]
        if not outputs or not node.kind().startswith("aten::") or _within(module, self._listed):
            return
        operator = operator_of(node)
        values = [value for value in _tensors(node, operator) if elements(value) > 1]
        if not _within(module, self._neurons):
            self._note_sources(operator, values, outputs[0])
            if operator == "mul":
                self._multiply(module, values, outputs[0])
        self._note_gates(operator, values, outputs)
        if operator in SUMS and len(values) == 1:
            self._add_up(operator, node, values[0], outputs[0])
        elif operator in CARRYING:
            self._carry(operator, node, values, outputs)
        if node.kind().endswith("_") and values:
            self._write(next(node.inputs()), self._products.get(outputs[0].debugName()))

    def _note_sources(self, operator: str, values: Sequence[Any], output: Any) -> None:
        if operator in ELEMENTWISE:
            sources: frozenset[Hashable] = frozenset().union(*map(self._made_from, values))
            if len(sources) <= MOST_SOURCES:
                self._sources[output.debugName()] = sources
        elif operator in STATISTICS and len(values) == 1:
            self._sources[output.debugName()] = frozenset(((operator, self._made_from(values[0])),))

    def _made_from(self, value: Any) -> frozenset[Hashable]:
        name = value.debugName()
        return self._sources.get(name, frozenset((name,)))

    def _note_gates(self, operator: str, values: Sequence[Any], outputs: Sequence[Any]) -> None:
        kept = operator in CARRYING or operator == "mul"
        if operator in GATES or (kept and len(values) == 1 and values[0].debugName() in self._gates):
            self._gates.update(output.debugName() for output in outputs)

    def _multiply(self, module: str, values: Sequence[Any], output: Any) -> None:
        both: Axes = frozenset()
        if len(values) > 1 and self._made_from(values[0]) != self._made_from(values[1]):
            both = varying(values[0]) & varying(values[1])
        gated = any(value.debugName() in self._gates for value in values)
        new = Multiplied(module, 0, frozenset() if gated else both, both if gated else frozenset())
        product = _joined([new, *self._products_in(values)])
        if product.axes or product.gated:
            self._products[output.debugName()] = replace(product, macs=max(elements(output), product.macs))

    def _add_up(self, operator: str, node: Any, value: Any, output: Any) -> None:
        """A sum ends products along its axes; others stay what they are."""
        if (product := self._products.get(value.debugName())) is None:
            return
        summed = _summed(operator, node, value)
        if summed & (product.axes if operator == "mean" else product.axes | product.gated):
            self.found.setdefault((product.module, operator), []).append(product.macs)
        elif operator != "einsum":
            gone = frozenset() if len(sizes(output)) == len(sizes(value)) else summed
            self._products[output.debugName()] = product.along(lambda axes: removed(axes - summed, gone))

    def _carry(self, operator: str, node: Any, values: Sequence[Any], outputs: Sequence[Any]) -> None:
        products = self._products_in(values)
        if not products or (operator in ADDING and len(products) < len(values)):
            return
        product, source = _joined(products), next(value for value in values if value.debugName() in self._products)
        for output in outputs:
            macs = product.macs * elements(output) // elements(source) if operator in PARTS else product.macs
            here = product.along(partial(moved, node=node, source=source, output=output))
            self._products[output.debugName()] = replace(here, macs=macs)

    def _write(self, part: Any, product: Multiplied | None) -> None:
        """What is written into a part of a tensor is in the tensor."""
        node = part.node()
        while product is not None and operator_of(node) in ("select", "slice"):
            whole = next(node.inputs())
            if operator_of(node) == "select" and isinstance(axis := constant(list(node.inputs())[1]), int):
                product = product.along(partial(inserted, new=axis if axis < 0 else axis - len(sizes(whole))))
            self._products[whole.debugName()] = _joined([product, *self._products_in([whole])])
            node = whole.node()

    def _products_in(self, values: Iterable[Any]) -> list[Multiplied]:
        return [self._products[name] for value in values if (name := value.debugName()) in self._products]


def _joined(products: Sequence[Multiplied]) -> Multiplied:
    """What holds several products, be it one in each element or all of them."""
    axes, gated = (frozenset().union(*each) for each in zip(*((p.axes, p.gated) for p in products), strict=True))
    return Multiplied(products[0].module, sum(product.macs for product in products), axes, gated)


def _within(module: str, others: Collection[str]) -> bool:
    """Whether a module is one of the others or inside of one."""
    while module and module not in others:
        module = module.rpartition(".")[0]
    return module in others


def _tensors(node: Any, operator: str) -> list[Any]:
    """A node's inputs, those in lists included, but not those that only lend their shape."""
    values: list[Any] = []
    for value in node.inputs():
        values += value.node().inputs() if value.node().kind() == PACK else [value]
    if operator == "copy":  # over what was there
        return values[1:2]
    return values[:1] if operator.endswith("_as") else values


def _summed(operator: str, node: Any, value: Any) -> Axes:
    """The axes that a sum runs along."""
    rank = len(sizes(value))
    first, *arguments = (constant(each) for each in node.inputs())
    if operator == "einsum":
        return _left_out(first, rank)
    axes = arguments[0] if operator == "cumsum" or len(arguments) > 1 else None
    return from_the_end([axes] if isinstance(axes, int) else axes or (), rank) or every_axis(value)


def _left_out(equation: str, rank: int) -> Axes:
    """The axes of an einsum's only operand that its result has not."""
    operand, arrow, result = equation.replace(" ", "").partition("->")
    spelled = operand.replace("...", "." * (rank - len(operand.replace("...", ""))))
    alone = arrow and len(spelled) == rank
    return frozenset(axis - rank for axis, letter in enumerate(spelled) if alone and letter not in result)
