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
    more, less = [], []
    for module in {**by_module, **graph.own_macs}:
        difference = graph.own_macs.get(module, 0) - placed[module]
        if difference > 0:
            more.append(Unknown(module or "(top level)", calls, difference * calls))
        elif difference < 0:
            less.append(module or "(top level)")
    unsized = [Unknown(op, n * calls) for op, n in sorted(graph.uncountable.items()) if not graph.is_free(op)]
    note = f"fvcore counts fewer MACs than the hooks in {', '.join(less)}" if less else ""
    return Coverage(
        counted={layer: macs * calls for layer, (_, macs) in measured.items()},
        free={op: n * calls for op, n in sorted(graph.uncountable.items()) if graph.is_free(op)},
        unknown=(*unknown, *more, *unsized),
        note=note,
    )
