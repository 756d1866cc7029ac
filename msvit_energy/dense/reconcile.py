"""The hooks' dense MACs held against those of fvcore's graph."""

from collections import Counter
from collections.abc import Mapping

from msvit_energy.dense.graph import Graph
from msvit_energy.profiles.coverage import Coverage, Unknown


def reconcile(
    graph: Graph, measured: Mapping[str, tuple[str, int]], unplaced: Mapping[str, int], calls: int = 1
) -> Coverage:
    """Hold the hooks' MACs (operator -> the module that runs it, MACs) against the graph's.

    `unplaced` are operators that the hooks saw but whose tensors they could not assign to images. All are those of one
    of the `calls` that an image needs.
    """
    by_module: Counter[str] = Counter()
    for module, macs in measured.values():
        by_module[module] += macs
    unknown = [Unknown(name, calls, macs * calls) for name, macs in unplaced.items()]
    placed = Counter(by_module)
    for name, macs in unplaced.items():
        placed[name.rpartition(".")[0]] += macs
    more, less, written = [], [], list(graph.written)
    for module in {**by_module, **graph.own_macs}:
        difference = graph.own_macs.get(module, 0) - placed[module]
        own = [products for products in written if products.module == module]
        if own and difference + sum(products.macs for products in own) == 0:  # of a module that is a product by itself
            written = [products for products in written if products not in own]
            difference = 0
        if difference > 0:
            more.append(Unknown(module or "(top level)", calls, difference * calls))
        elif difference < 0:
            less.append(module or "(top level)")
    by_hand = [
        Unknown(f"{each.module or '(top level)'}: {each.written_as}", each.calls * calls, each.macs * calls)
        for each in written
    ]
    unsized = [Unknown(op, n * calls) for op, n in sorted(graph.uncountable.items()) if not graph.is_free(op)]
    note = f"fvcore counts fewer MACs than the hooks in {', '.join(less)}" if less else ""
    return Coverage(
        counted={layer: macs * calls for layer, (_, macs) in measured.items()},
        free={op: n * calls for op, n in sorted(graph.uncountable.items()) if graph.is_free(op)},
        unknown=(*unknown, *more, *by_hand, *unsized),
        note=note,
    )
