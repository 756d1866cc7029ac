"""MSViT's event models as they were uploaded once, repaired as little as makes them run.

Source: the first upload of the official repository (commit a1cfb2d: cifar10-dvs/model.py, dvs128-gesture/model.py);
both files were deleted later. They build (663,882 and 2,325,899 parameters) and fail in the first embedding, where
convolutions, batch norms and the shortcut disagree in width. No weights are known, and no repair gives the 1.67 M that
the paper prints; `msvit_dvs` is our reading of the paper.

Structure: QKFormer's event model with MSSA in place of token QK attention, thus two stages where the paper has three.
Quirks: the threshold after an attention is 0.5, unlike that of MSViT's other models; heads are always 16; in the
CIFAR10-DVS file p is overwritten by the sum of q. Names of submodules are QKFormer's; those of the files are not
recorded.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from msvit.attention import MSSA
from msvit.models.qkformer import ATTN_THRESHOLD, QKFormerEvent
from msvit.registry import register

SOURCE = "Hua et al., IJCAI 2025 (deleted upload, repaired)"


class OverwrittenP(MSSA):
    """MSSA whose p is made and then overwritten by the sum of q: the attention is LIF(2 x sum of q)."""

    def scores(self, spikes: Mapping[str, Tensor]) -> list[Tensor]:
        q = self.score("q", spikes["q"])
        return [q, self.score("p", q)]


@register(SOURCE)
def msvit_dvs_upload(**kwargs: Any) -> QKFormerEvent:
    """The uploaded CIFAR10-DVS model, repaired: event frames `[B, T, 2, 128, 128]`, T = 16; 653,386 parameters.

    Repair: the first pooled convolution gives 32 channels, not 64, since its batch norm, the next convolution and the
    shortcut have 32; the head takes the 128 channels that it gets, not 256.
    """
    defaults: dict[str, Any] = {"widths": (32, 32, 64, 128), "dim": 128}
    return QKFormerEvent(**defaults | {"mssa": partial(OverwrittenP, attn_threshold=ATTN_THRESHOLD)} | kwargs)


@register(SOURCE)
def msvit_gesture_upload(**kwargs: Any) -> QKFormerEvent:
    """The uploaded DVS128 Gesture model, repaired: event frames `[B, T, 2, 128, 128]`, T = 16; 2,334,219 parameters.

    Repair: the batch norm of the second pooled convolution has the 128 channels that it gets, not 64; the shortcut
    takes the 128 channels that it gets, not 64, with stride 4, not 2.
    """
    defaults: dict[str, Any] = {"widths": (64, 128, 128, 128), "num_classes": 11, "mlp_ratio": 4}
    return QKFormerEvent(**defaults | {"mssa": partial(MSSA, attn_threshold=ATTN_THRESHOLD)} | kwargs)
