"""`msvit-energy evidence`: energies that others published with their rates, recomputed."""

from msvit_energy.commands._options import Columns, Force, Formats, Out
from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput

EXAMPLES = """
msvit-energy evidence --out evidence/
"""


def evidence(
    columns: Columns = None,
    out: Out = None,
    formats: Formats = USUAL_FORMATS,
    force: Force = False,
) -> None:
    """Recompute every published energy whose rates are public, by its authors' convention and by Appendix C."""
    from msvit_energy.workflows.published.evidence import evidence as recomputed
    from msvit_energy.workflows.published.evidence import write_page

    output = TableOutput("evidence", out, formats, force, also=["evidence.html"], columns=columns)
    output.show(recomputed(), also={"evidence.html": write_page})
