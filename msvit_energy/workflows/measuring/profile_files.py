"""The files of `profile --out`. Figures and page are imported when there is something to write."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msvit.distributed import from_first, rank
from msvit_energy import EnergyReport
from msvit_energy.errors import EnergyError
from msvit_energy.profiles.image_counts import SUFFIX
from msvit_energy.reporting import table
from msvit_energy.reporting.formatting import title
from msvit_energy.reporting.layer_table import layer_table
from msvit_energy.reporting.output_folder import check_free, held, written_together
from msvit_energy.workflows.measuring import firing_maps
from msvit_energy.workflows.measuring.measurement_state import forget, states
from msvit_energy.workflows.measuring.profiling import Measurement


def files() -> tuple[str, ...]:
    """The names of all files that there may be."""
    from msvit_energy.reporting import figures

    return (
        "profile.json",
        f"profile{SUFFIX}",
        *table.files("energy"),
        *figures.FILES,
        *firing_maps.FILES,
        "report.html",
    )


@contextmanager
def output(folder: Path | None, *, force: bool, resume: bool) -> Iterator[None]:
    """The folder of a measurement, held in a `with` block. EnergyError in every process if a file of another run is in
    it that is neither to be replaced (`force`) nor gone on with (`resume`)."""
    if folder is None:
        if resume:
            raise EnergyError("--resume goes on with the measurement in a folder: --out says which")
        yield
        return
    with ExitStack() as stack:

        def begin() -> None:
            stack.enter_context(held(folder))
            found = states(folder)
            if resume and found:  # results beside them are those of the measurement when it was stopped
                return
            if found and not force:
                raise EnergyError(
                    f"{folder} holds an unfinished measurement; --resume goes on with it, --force replaces it"
                )
            check_free(folder, files(), force)
            forget(found)

        from_first(begin)
        yield


def stopped_line(measurement: Measurement, out: Path | None) -> str:
    """How a measurement that was stopped ended, and how to go on."""
    again = "; the same command with --resume goes on" if out else ""
    return f"stopped after {measurement.profile.images} of {measurement.available} images{again}"


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
    states_left = [] if measurement.stopped else states(out)
    with written_together(out, files()) as folder:
        profile.save(folder / "profile.json")
        table.write(layer_table(profile, report).with_columns(columns), folder, "energy", formats)
        figures.save_figures(profile, report, folder)
        if measurement.maps is not None:
            firing_maps.write_maps(measurement.maps, measurement.example, profile, folder)
        html = page({title(profile): profile}, report.protocol, report.technology)
        (folder / "report.html").write_text(html, encoding="utf-8", errors="replace")
        written = [name for name in files() if (folder / name).exists()]
    forget(states_left)
    return [out / name for name in written]
