"""The paper's results on CIFAR and on event cameras: parameters counted beside printed ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msvit_energy.reporting.published import published_table
from msvit_energy.reporting.table import Column, Table
from msvit_energy.workflows.loading.model_loading import without_memory
from msvit_energy.workflows.paper_tables.parameters import columns, compared, parameters, used_parameters

CLASSES = {"CIFAR10": 10, "CIFAR100": 100, "DVS128 Gesture": 11, "CIFAR10-DVS": 10}


@dataclass(frozen=True)
class Reading:
    """A model that may be behind a printed number, and what is special about it; `used_only` leaves out parameters that
    the forward does not use. The note on a row names other readings where the official one misses the printed number,
    and those with `always` in any case."""

    model: str
    args: Mapping[str, Any] = field(default_factory=dict)
    what: str = ""
    used_only: bool = False
    always: bool = False

    def count(self, classes: int) -> int:
        """Its parameters with that many classes."""
        model = without_memory(self.model, {"num_classes": classes} | dict(self.args))
        return used_parameters(model) if self.used_only else parameters(model)


TEN, HUNDRED = {"num_classes": 10}, {"num_classes": 100}
UNUSED = "without what the forward never uses"

# method -> data set -> the official model, then other readings of the printed number
SMALL = ("CIFAR10", "CIFAR100")
EVENTS = ("DVS128 Gesture", "CIFAR10-DVS")
MODELS: dict[tuple[str, str], tuple[Reading, ...]] = {
    **{
        ("Spikformer", data): (Reading(name), Reading(name, what=UNUSED, used_only=True))
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
    **{
        ("MSViT", data): (Reading("msvit_dvs"), Reading(name, what="the deleted upload, repaired", always=True))
        for data, name in zip(EVENTS, ("msvit_gesture_upload", "msvit_dvs_upload"), strict=True)
    },
    ("CML", "CIFAR10"): (Reading("cml_spikingformer_cifar"),),
    ("CML", "CIFAR100"): (
        Reading("cml_spikformer_cifar100"),
        Reading("cml_spikformer_cifar100", what=UNUSED, used_only=True),
        Reading("cml_spikformer_cifar100", TEN, f"{UNUSED}, with 10 classes", used_only=True),
    ),
    ("CML", "DVS128 Gesture"): (Reading("cml_spikingformer_gesture"),),
    ("CML", "CIFAR10-DVS"): (
        Reading("cml_spikingformer_dvs"),
        Reading("spikformer_dvs", what=f"Spikformer, {UNUSED}", used_only=True, always=True),
    ),
    **{
        ("ResNet-19", data): (Reading("resnet19_cifar_ann"), Reading("resnet19_cifar_ann", TEN, "with 10 classes"))
        for data in SMALL
    },
    **{
        ("Transformer (4-384)", data): (
            Reading("spikformer_cifar", used_only=True),
            Reading("spikformer_cifar", TEN, "with 10 classes", used_only=True),
        )
        for data in SMALL
    },
}
ARTIFICIAL = {
    "ResNet-19": "the model is TET's ResNet-19 with ReLU, of which no result is known",
    "Transformer (4-384)": (
        "Spikformer without LayerNorms fits, but the count does not say which norms, activations and attention it has"
    ),
}
REMARKS = {  # what a count does not say
    ("CML", "CIFAR10"): "the result is that of CML + Spikingformer-4-384, that on CIFAR100 of another model",
    ("CML", "CIFAR100"): "the result is that of CML + Spikformer-4-384 after 400 epochs",
    ("CML", "DVS128 Gesture"): "both CML + Spikingformer-2-256 and CML + Spikformer-2-256 have this count and result",
    ("CML", "CIFAR10-DVS"): (
        "the result is that of CML + Spikformer-2-256, which has no public code; CML adds no parameter, so the count "
        "does not tell them apart"
    ),
    **{
        (method, data): f"an artificial network without public code; {remark}"
        for method, remark in ARTIFICIAL.items()
        for data in SMALL
    },
    **{("MSViT", data): "built from the paper" for data in EVENTS},
}


def parameter_table() -> Table:
    """Every row of the paper's Table 2."""
    records = [counted(row) for row in published_table("table2")]
    shown = {"method": Column("method"), "dataset": Column("data"), "model": Column("model")} | columns()
    shown |= {"time_steps": Column("T", "d"), "top1_published": Column("top-1 printed", ".2f"), "note": Column("note")}
    return Table("Table 2, parameters", records, shown)


def counted(printed: Mapping[str, Any]) -> dict[str, Any]:
    """One row: printed and counted parameters in M, other readings of the printed number where they differ, and what
    the count does not say."""
    method, data = printed["method"], printed["dataset"]
    official, *others = MODELS[method, data]
    row: dict[str, Any] = {"method": method, "dataset": data, "model": official.model}
    row |= compared(printed["params_m"], official.count(CLASSES[data]))
    named = [other for other in others if other.always or row["met"] == "no"]
    notes = [f"{other.what} {other.count(CLASSES[data]) / 1e6:.4f}" for other in named]
    notes += [REMARKS[method, data]] if (method, data) in REMARKS else []
    rest = {"time_steps": printed["time_steps"], "top1_published": printed["top1"]}
    return row | rest | {"note": "; ".join(notes) or None}
