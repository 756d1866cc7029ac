"""Networks without spikes: those of the paper's Table 1, built by timm, and two small ones beside the digits models."""

from typing import Any

from torch import Tensor, nn

from msvit.classifier import SpikingClassifier
from msvit.errors import ModelError
from msvit.models.msvit import DIGITS, MSViT
from msvit.neuron import LIF
from msvit.registry import add_entry, register

SOURCES = {
    "deit_base_patch16_224": "Touvron et al., ICML 2021",
    "vit_base_patch16_384": "Dosovitskiy et al., ICLR 2021",
    "swin_tiny_patch4_window7_224": "Liu et al., ICCV 2021",
    "swin_small_patch4_window7_224": "Liu et al., ICCV 2021",
    "swin_base_patch4_window7_224": "Liu et al., ICCV 2021",
    "swin_base_patch4_window12_384": "Liu et al., ICCV 2021",
}


def builder(name: str) -> Any:
    """A function that builds timm's model of that name and gives it what the registry's models have: T (always 1),
    input size and channels."""

    def build(*, time_steps: int = 1, **kwargs: Any) -> Any:
        check_one_step(name, time_steps)
        import timm

        model = timm.create_model(name, pretrained=False, **kwargs)
        size = kwargs.get("img_size", model.default_cfg["input_size"][1:])
        height, width = (size, size) if isinstance(size, int) else size
        model.time_steps, model.in_chans = 1, kwargs.get("in_chans", 3)
        model.input_size = (model.in_chans, height, width)
        return model

    build.__module__ = __name__
    return build


def check_one_step(name: str, time_steps: int) -> None:
    """ModelError unless T = 1."""
    if time_steps != 1:
        raise ModelError(f"{name} is not a spiking network: time steps must be 1, not {time_steps}")


class RectifiedMSViT(SpikingClassifier):
    """MSViT with ReLU in place of its neurons, T = 1; its attention has no softmax as it is. Arguments are MSViT's.

    The network is a submodule, `network`, so that its weights, which have MSViT's shapes, are not taken for MSViT's.
    """

    def __init__(self, **kwargs: Any) -> None:
        network = MSViT(**kwargs)
        channels, *size = network.input_size
        check_one_step("MSViT with ReLU", network.time_steps)
        super().__init__(img_size=(size[0], size[1]), in_chans=channels, num_classes=network.num_classes, time_steps=1)
        self.total_stride = network.total_stride
        for module in network.modules():
            for name, child in module.named_children():
                if isinstance(child, LIF):
                    module.add_module(name, nn.ReLU())
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


@register("this project")
def msvit_digits_ann(**kwargs: Any) -> RectifiedMSViT:
    """msvit_digits with ReLU in place of its neurons, T = 1, a dense yardstick; 164,346 parameters."""
    return RectifiedMSViT(**DIGITS | {"time_steps": 1} | kwargs)


@register("this project")
def vit_digits(**kwargs: Any) -> Any:
    """A small ViT of timm for 12 x 12 grey-scale digits, a dense yardstick, T = 1; 153,482 parameters. Patches of
    2 x 2, width 64, 3 blocks, 4 heads."""
    defaults: dict[str, Any] = {
        "img_size": 12,
        "patch_size": 2,
        "in_chans": 1,
        "num_classes": 10,
        "embed_dim": 64,
        "depth": 3,
        "num_heads": 4,
    }
    return builder("vit_tiny_patch16_224")(**defaults | kwargs)


for _name, _source in SOURCES.items():
    add_entry(_name, builder(_name), _source)
