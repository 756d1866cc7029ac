"""Show a sheet: in the terminal, and in a folder in every usual format."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msvit_energy.reporting.table import Sheet

Writer = Callable[[Path], object]

USUAL = "csv,md,tex,json"
WIDTH_OF_A_FILE = 240  # the widest sheet in one line per row


def parse_formats(text: str) -> list[str]:
    """Formats from "csv,tex"; EnergyError for unknown ones and for none."""
    from msvit_energy.errors import EnergyError
    from msvit_energy.reporting.table import FORMATS, check_formats

    formats = list(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
    check_formats(formats)
    if not formats:
        raise EnergyError(f"--format names no format; formats: {', '.join(FORMATS)}")
    return formats


class Showing:
    """Where a command's sheet goes: the terminal, and files called `name` in `out`, of which none may be there yet.

    `also` are names of further files that the command may write.
    """

    def __init__(self, name: str, out: Path | None, formats: str, force: bool, also: Sequence[str] = ()) -> None:
        from msvit_energy.reporting.output_folder import check_free
        from msvit_energy.reporting.table import files

        self.name, self.out, self.formats = name, out, parse_formats(formats)
        self.names = [*files(name), *also]
        if out is not None:
            check_free(out, self.names, force)

    def show(self, sheet: "Sheet", also: Mapping[str, Writer] | None = None) -> None:
        """Print the sheet; write it in every format, and the files `also`, all or none."""
        from msvit_energy.reporting.output_folder import written_together
        from msvit_energy.reporting.table import write

        display(sheet)
        if self.out is None:
            return
        with written_together(self.out, self.names) as folder:
            write(sheet, folder, self.name, self.formats)
            for file, writer in (also or {}).items():
                writer(folder / file)
            written = sorted(path.name for path in folder.iterdir())
        for file in written:
            print(self.out / file)


def display(sheet: "Sheet") -> None:
    """Print warnings, the table, notes."""
    from rich.console import Console
    from rich.text import Text

    from msvit_energy.reporting.table import terminal

    console = Console() if sys.stdout.isatty() else Console(width=WIDTH_OF_A_FILE)
    for warning in sheet.warnings:
        console.print(Text(f"warning: {warning}", style="bold red"))
    console.print(terminal(sheet))
    for note in sheet.notes:
        console.print(Text(note))
