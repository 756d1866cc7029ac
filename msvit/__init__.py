"""MSViT and related spiking vision transformers as trainable PyTorch models."""

import msvit.models as _models  # noqa: F401  registers every family
from msvit.checkpoint import load_checkpoint, save_checkpoint
from msvit.errors import ModelError
from msvit.registry import create_model, list_models

__all__ = ["ModelError", "create_model", "list_models", "load_checkpoint", "save_checkpoint"]
