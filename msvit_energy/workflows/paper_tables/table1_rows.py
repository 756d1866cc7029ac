"""Which model of ours stands for a row of the paper's Table 1, or of its appendix, and what is known about its printed
energy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msvit_energy.reporting.published import published_table
from msvit_energy.workflows.loading.shipped_geometry import model_records

APPENDIX = "table1_appendix"


@dataclass(frozen=True)
class Row:
    """What we have for a printed row: the model and its arguments, a published rate, another model whose energy was
    printed by mistake (its label, name), an error that no number shows, a note, and what the printed accuracy hangs
    on."""

    model: str | None
    args: Mapping[str, Any] = field(default_factory=dict)
    rate: float | None = None
    source: str = ""
    printed_is: tuple[str, str] | None = None
    error: str = ""
    note: str = ""
    accuracy: str = ""


OURS = "Appendix E, mean of MSViT"
QK = "Appendix E, mean of QKFormer"
MEANS = "the rates behind the printed value are means of integer sums"
LABEL = "the label is wrong: the parameters are those of widths {}"

# QKFormer issue 14: the official attention has a neuron that runs over time and batch as one axis
LEAK = "{} % in batches of 32, {} % where no sample sees those before it (QKFormer issue 14)"
SAME_LEAK = "samples see those before them in the batch; accuracy without that is not public"

# in the order of the printed rows
ROWS = (
    Row("deit_base_patch16_224"),
    Row("vit_base_patch16_384", note="the printed parameters are those of the 224 x 224 model"),
    Row("swin_tiny_patch4_window7_224", printed_is=("Swin-B at 224", "swin_base_patch4_window7_224")),
    Row("swin_small_patch4_window7_224", printed_is=("Swin-B at 384", "swin_base_patch4_window12_384")),
    Row("spikformer_8_384", {"num_heads": 8}, error="contradicts its source, which prints 7.734 mJ for 6.82 G SOPs"),
    Row("spikformer_8_768", {"num_heads": 12}, error="contradicts its source, which prints 21.477 mJ for 22.09 G SOPs"),
    Row(None, note="4.69 mJ is also printed for Spikingformer-8-384, another model"),
    Row(None),
    Row("sdt_8_384"),
    Row("sdt_8_512"),
    Row("sdt_8_768", note="77.07 % is at 288 x 288; at 224 x 224 it is 76.3 %"),
    Row("sdtv2_15m", note=LABEL.format("64-128-256-360")),
    Row("sdtv2_31m", note=LABEL.format("96-192-384-480")),
    Row("sdtv2_55m", note=LABEL.format("128-256-512-640")),
    Row("qkformer_10_384", rate=0.285, source=QK, note=MEANS, accuracy=LEAK.format("78.73", "74.20")),
    Row("qkformer_10_512", rate=0.285, source=QK, note=MEANS, accuracy=SAME_LEAK),
    Row("qkformer_10_768", rate=0.285, source=QK, note=MEANS, accuracy=LEAK.format("84.25", "78.70")),
    Row("msvit_10_384", rate=0.306, source=OURS, accuracy=SAME_LEAK),
    Row(
        "msvit_10_512",
        rate=0.306,
        source=OURS,
        note="the printed parameters look like a typing error of 1 M",
        accuracy=SAME_LEAK,
    ),
    Row("msvit_10_768", rate=0.306, source=OURS, accuracy=SAME_LEAK),
)


def appendix_models() -> list[str]:
    """The models of the appendix that are here, in order."""
    known = {row["name"] for row in model_records()}
    return [row["model"] for row in published_table(APPENDIX) if row["model"] in known]
