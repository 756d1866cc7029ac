"""The files of `profile --out`. Figures and page are imported when there is something to write."""

from collections.abc import Sequence
from pathlib import Path

from msvit.distributed import from_first, rank
from msvit_energy import EnergyReport
from msvit_energy.reporting import table
from msvit_energy.reporting.formatting import title
from msvit_energy.reporting.layer_table import layer_table
from msvit_energy.reporting.output_folder import check_free, written_together
from msvit_energy.workflows import firing_maps
from msvit_energy.workflows.profiling import Measurement


def files() -> tuple[str, ...]:
    """The names of all files that there may be."""
    from msvit_energy.reporting import figures

    return ("profile.json", *table.files("energy"), *figures.FILES, *firing_maps.FILES, "report.html")


def check_output(folder: Path | None, force: bool) -> None:
    """EnergyError in every process if a file of another run is in the folder and `force` is not given."""
    if folder is not None:
        from_first(lambda: check_free(folder, files(), force))


def write_files(
    measurement: Measurement, report: EnergyReport, out: Path, formats: Sequence[str], columns: str | None = None
) -> list[Path]:
    """Write all files or none, in the first process only, with those columns of the table in print; the paths that were
    written."""
    if rank():
        return []
    from msvit_energy.reporting import figures
    from msvit_energy.reporting.page import page

    profile = measurement.profile
    with written_together(out, files()) as folder:
        profile.save(folder / "profile.json")
        table.write(layer_table(profile, report).with_columns(columns), folder, "energy", formats)
        figures.save_figures(profile, report, folder)
        if measurement.maps is not None:
            firing_maps.write_maps(measurement.maps, measurement.example, profile, folder)
        html = page({title(profile): profile}, report.protocol, report.technology)
        (folder / "report.html").write_text(html, encoding="utf-8", errors="replace")
        written = [name for name in files() if (folder / name).exists()]
    return [out / name for name in written]
