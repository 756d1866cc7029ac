"""Recipes: a run is a function that returns a frozen Recipe."""

from collections.abc import Callable
from dataclasses import dataclass

from msvit.errors import ModelError


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run except the seed. The rate is per step, with warm-up, then cosine."""

    name: str
    model: str
    data: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_epochs: int
    label_smoothing: float
    rotate_degrees: float
    translate: float  # share of the side
    scale: float  # share, up and down

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size"):
            if getattr(self, field) < 1:
                raise ModelError(f"{field.replace('_', ' ')} must be at least 1, not {getattr(self, field)}")


def digits() -> Recipe:
    """The shipped checkpoint: msvit_digits on scikit-learn's digits; small shifts, turns and sizes as augmentation."""
    return Recipe(
        name="digits",
        model="msvit_digits",
        data="digits",
        epochs=12,
        batch_size=16,
        learning_rate=4e-3,
        weight_decay=0.05,
        warmup_epochs=2,
        label_smoothing=0.1,
        rotate_degrees=10,
        translate=0.08,
        scale=0.1,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"digits": digits}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name; ModelError with the list for an unknown one."""
    if name not in RECIPES:
        raise ModelError(f"unknown recipe {name!r}; recipes: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()
