"""`msvit-energy table3`: the parameters of the paper's ablation, counted beside the printed ones."""

from msvit_energy.commands._options import Columns, Force, Formats, Out
from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput

EXAMPLES = """
msvit-energy table3 --out table3/
"""


def table3(
    columns: Columns = None,
    out: Out = None,
    formats: Formats = USUAL_FORMATS,
    force: Force = False,
) -> None:
    """Count the parameters of every row of the paper's Table 3 (CIFAR100) and compare."""
    from msvit_energy.workflows.paper_tables.table3 import parameter_table

    output = TableOutput("table3", out, formats, force, columns=columns)
    output.show(parameter_table())
