"""`msvit-energy table2`: the paper's results on CIFAR and on event cameras, parameters counted beside printed ones."""

from msvit_energy.commands._options import Columns, Force, Formats, Out
from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput

EXAMPLES = """
msvit-energy table2 --out table2/
"""


def table2(
    columns: Columns = None,
    out: Out = None,
    formats: Formats = USUAL_FORMATS,
    force: Force = False,
) -> None:
    """Count the parameters of every row of the paper's Table 2 (CIFAR, DVS128 Gesture, CIFAR10-DVS) and compare."""
    from msvit_energy.workflows.paper_tables.table2 import parameter_table

    output = TableOutput("table2", out, formats, force, columns=columns)
    output.show(parameter_table())
