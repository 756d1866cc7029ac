"""What a traced `torch.autograd.Function`, such as a surrogate gradient, does in its forward.

The tracer keeps its operators in a graph of the function's own. Work that is no operator of torch (a compiled kernel
that fills a tensor by its address) is not in there; then what is returned does not follow from the inputs.
"""

from collections.abc import Iterator
from typing import Any

FUNCTION = "prim::PythonOp"
# parts of the names of operators that add up: a product written by hand may end in one
REDUCING = ("sum", "mean", "prod", "norm")
# parts of the names of those that make a tensor in the shape of another, without its values
SHAPE_ONLY = ("empty", "zeros", "ones", "full", "rand", "size", "NumToTensor")


def operators_of(node: Any) -> Iterator[str]:
    """The operators that the forward of a function's node runs, those of functions inside of it too."""
    for inner in _nodes(node):
        if inner.kind() == FUNCTION:
            yield name_of(inner)
            yield from operators_of(inner)
        else:
            yield inner.kind()


def follows_from_inputs(node: Any) -> bool:
    """Whether every tensor that the function returns is computed from the values of its inputs, as far as its operators
    show; false where they do not."""
    if not node.hasAttribute("Subgraph"):
        return False
    graph = node.g("Subgraph")
    carrying = {value.debugName() for value in graph.inputs()}
    for inner in graph.nodes():
        makes_shape = any(part in inner.kind() for part in SHAPE_ONLY)
        opaque = inner.kind() == FUNCTION and not follows_from_inputs(inner)
        if not makes_shape and not opaque and any(value.debugName() in carrying for value in inner.inputs()):
            carrying |= {value.debugName() for value in inner.outputs()}
    return all(value.debugName() in carrying for value in graph.outputs())


def name_of(node: Any) -> str:
    """A function's node as fvcore calls it."""
    return f"{FUNCTION}.{node.pyname()}"


def _nodes(node: Any) -> Iterator[Any]:
    return iter(node.g("Subgraph").nodes() if node.hasAttribute("Subgraph") else ())
