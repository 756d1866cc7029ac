"""Recipes that `train` can run, with their settings and where the numbers come from."""

from dataclasses import asdict
from typing import Any

from msvit.training.recipes import RECIPES, about, get_recipe


def recipe_settings(name: str | None = None) -> dict[str, dict[str, Any]]:
    """All settings of each recipe, or of the one of that name."""
    return {key: asdict(get_recipe(key)) for key in ([name] if name else RECIPES)}


def recipe_description(name: str) -> str:
    """Model, data and epochs in a line, then what the recipe came from, indented."""
    recipe = get_recipe(name)
    what = f"{recipe.model} on {recipe.data}, {recipe.epochs} epochs, batch {recipe.images_per_update}"
    return f"{name}: {what}\n" + "".join(f"  {line}\n" for line in about(name).splitlines())
