"""MSViT and related spiking vision transformers as trainable PyTorch models.

What is listed here is imported when it is first used, so that `import msvit` costs nothing and
`from msvit.errors import ModelError` needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msvit.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
    from msvit.errors import ModelError
    from msvit.registry import create_model, list_models, register_with_timm
else:
    _PLACES = {
        "ModelError": "msvit.errors",
        "create_model": "msvit.registry",
        "list_checkpoints": "msvit.checkpoint",
        "list_models": "msvit.registry",
        "load_checkpoint": "msvit.checkpoint",
        "register_with_timm": "msvit.registry",
        "save_checkpoint": "msvit.checkpoint",
    }

    def __getattr__(name):
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_PLACES[name]), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "ModelError",
    "create_model",
    "list_checkpoints",
    "list_models",
    "load_checkpoint",
    "register_with_timm",
    "save_checkpoint",
]
