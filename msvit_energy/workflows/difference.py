"""What `diff` compares: two of saved profiles, tables of layers and logs, by one protocol."""

from pathlib import Path

from msvit_energy import Profile, price, read_table
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.image_energies import difference_interval
from msvit_energy.pricing.technology import Technology, get_technology
from msvit_energy.reporting.difference_table import difference_table
from msvit_energy.reporting.table import Table
from msvit_energy.workflows.published.published_pricing import PublishedRates, from_rates

TABLES = (".csv", ".xlsx")


def opened(path: Path, model: str | None, time_steps: int | None) -> Profile:
    """A profile, a table of layers (CSV, XLSX), or anything else as a log on the geometry of `model`."""
    if path.suffix.lower() in TABLES:
        return read_table(path, time_steps)
    if path.suffix.lower() == ".json" or path.is_dir():
        return Profile.load(path, per_image=True)
    if model is None:
        raise EnergyError(
            f"{path} is no profile (.json) and no table ({', '.join(TABLES)}); a log needs --model for its geometry"
        )
    return from_rates(PublishedRates(model=model, log=path))


def diff(
    a: Profile,
    b: Profile,
    *,
    names: tuple[str, str] = ("A", "B"),
    protocol: str = "appendix-c",
    technology: str | Technology = "45nm-fp32",
    same_images: bool = False,
) -> Table:
    """Layers in which two profiles differ, the largest difference of energy first, with the interval of the difference.

    Images are paired where both profiles keep the counts of single images (`per_image`) and say which images they are
    of; `same_images` is the caller's word that they are the same in the same order.
    """
    prices = get_technology(technology)
    return compared(a, b, names, protocol, prices, 0.0, same_images=same_images)[0]


def compared(
    a: Profile,
    b: Profile,
    names: tuple[str, str],
    protocol: str,
    technology: Technology,
    tolerance: float,
    *,
    same_images: bool = False,
) -> tuple[Table, bool]:
    """The table of layers that differ, and whether the totals differ by more than `tolerance` of the first."""
    first, second = ((profile, price(profile, protocol, technology)) for profile in (a, b))
    differ = abs(second[1].total_mj - first[1].total_mj) > tolerance * first[1].total_mj
    interval = difference_interval(first, second, protocol, same_images=same_images)
    return difference_table(first, second, names, interval), differ
