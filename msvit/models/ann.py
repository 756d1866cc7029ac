"""The artificial networks of the paper's Table 1, built by timm and listed beside the spiking ones."""

from typing import Any

from msvit.errors import ModelError
from msvit.registry import add_entry

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
        if time_steps != 1:
            raise ModelError(f"{name} is not a spiking network: time steps must be 1, not {time_steps}")
        import timm

        model = timm.create_model(name, pretrained=False, **kwargs)
        size = kwargs.get("img_size", model.default_cfg["input_size"][1:])
        height, width = (size, size) if isinstance(size, int) else size
        model.time_steps, model.in_chans = 1, kwargs.get("in_chans", 3)
        model.input_size = (model.in_chans, height, width)
        return model

    build.__module__ = __name__
    return build


for _name, _source in SOURCES.items():
    add_entry(_name, builder(_name), _source)
