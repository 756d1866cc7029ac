"""The paper's results on CIFAR and on event cameras: parameters counted beside printed ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msvit_energy.reporting.published import published_table
from msvit_energy.reporting.table import Column, Table
from msvit_energy.workflows.model_loading import without_memory
from msvit_energy.workflows.paper_tables.parameters import columns, compared, parameters, used_parameters

CLASSES = {"CIFAR10": 10, "CIFAR100": 100, "DVS128 Gesture": 11, "CIFAR10-DVS": 10}


@dataclass(frozen=True)
class Reading:
    """A model that may be behind a printed number, and what is special about it; `used_only` leaves out parameters that
    the forward does not use."""

    model: str
    args: Mapping[str, Any] = field(default_factory=dict)
    what: str = ""
    used_only: bool = False

    def count(self, classes: int) -> int:
        """Its parameters with that many classes."""
        model = without_memory(self.model, {"num_classes": classes} | dict(self.args))
        return used_parameters(model) if self.used_only else parameters(model)


HUNDRED = {"num_classes": 100}
NO_MODEL = "no public code that says which model it is"

# method -> data set -> the official model, then other readings of the printed number
SMALL = ("CIFAR10", "CIFAR100")
EVENTS = ("DVS128 Gesture", "CIFAR10-DVS")
MODELS: dict[tuple[str, str], tuple[Reading, ...]] = {
    **{
        ("Spikformer", data): (Reading(name), Reading(name, what="without what the forward never uses", used_only=True))
        for name, group in (("spikformer_cifar", SMALL), ("spikformer_dvs", EVENTS))
        for data in group
    },
    **{
        ("SDT", data): (
            Reading("sdt_cifar"),
            Reading("spikingformer_cifar", what="Spikingformer, whose figures these are"),
        )
        for data in SMALL
    },
    ("SDT", "DVS128 Gesture"): (Reading("sdt_gesture"),),
    ("SDT", "CIFAR10-DVS"): (Reading("sdt_dvs"),),
    **{
        (method, data): (Reading(name), Reading(name, HUNDRED, "with 100 classes"))
        for method, name in (("QKFormer", "qkformer_cifar"), ("MSViT", "msvit_cifar"))
        for data in SMALL
    },
    ("QKFormer", "DVS128 Gesture"): (
        Reading("qkformer_gesture"),
        Reading("qkformer_dvs", what="the CIFAR10-DVS model"),
    ),
    ("QKFormer", "CIFAR10-DVS"): (Reading("qkformer_dvs"),),
    **{("MSViT", data): (Reading("msvit_dvs"),) for data in EVENTS},
}


def parameter_table() -> Table:
    """Every row of the paper's Table 2."""
    records = [counted(row) for row in published_table("table2")]
    shown = {"method": Column("method"), "dataset": Column("data"), "model": Column("model")} | columns()
    shown |= {"time_steps": Column("T", "d"), "top1_published": Column("top-1 printed", ".2f"), "note": Column("note")}
    return Table("Table 2, parameters", records, shown)


def counted(printed: Mapping[str, Any]) -> dict[str, Any]:
    """One row: printed and counted parameters in M, and other readings of the printed number where they differ."""
    method, data = printed["method"], printed["dataset"]
    official, *others = MODELS.get((method, data), (None,))
    row: dict[str, Any] = {"method": method, "dataset": data, "model": official and official.model}
    rest = {"time_steps": printed["time_steps"], "top1_published": printed["top1"]}
    if official is None:
        unknown = {"params_m": None, "difference_m": None, "met": None}
        return row | {"params_m_published": printed["params_m"]} | unknown | rest | {"note": NO_MODEL}
    row |= compared(printed["params_m"], official.count(CLASSES[data]))
    tried = [] if row["met"] == "yes" else [f"{other.what} {other.count(CLASSES[data]) / 1e6:.4f}" for other in others]
    return row | rest | {"note": "; ".join(tried) or None}
