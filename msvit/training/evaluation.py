"""What a model does on the test split, and where numbers stop being finite."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from msvit.distributed import gathered
from msvit.training.batches import Batches


def evaluate(model: nn.Module, batches: Batches, device: str, on_batch: Callable[[int], None] | None = None) -> float:
    """Share of the test images classified correctly; `on_batch` gets the number of images of each batch."""
    was_training = model.training
    model.eval()
    correct = total = 0
    with torch.inference_mode():
        for images, labels in batches.test():
            correct += int((model(images.to(device)).argmax(1).cpu() == labels).sum())
            total += len(labels)
            if on_batch is not None:
                on_batch(len(labels))
    model.train(was_training)
    parts = gathered((correct, total))
    return sum(part[0] for part in parts) / sum(part[1] for part in parts)


def first_not_finite(model: nn.Module, images: Tensor) -> str:
    """What went first: the images, a parameter, or the layer whose output is the first that is not finite."""
    if not torch.isfinite(images).all():
        return "the images have values that are not finite"
    for name, weights in model.named_parameters():
        if not torch.isfinite(weights).all():
            return f"the weights {name} are not finite"
    found: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(name)

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(look(name)) for name, module in leaves]
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    return f"the first layer with such values is {found[0]}" if found else "every layer is finite"
