"""`msvit-energy recipes`: what `train` can run, and where the numbers of each recipe come from."""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show one, with all its settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Settings as an object.")] = False,
) -> None:
    """List training recipes: model, data, epochs, and what they came from."""
    from msvit.training.recipes import RECIPES, about, get_recipe

    shown = [name] if name else list(RECIPES)
    settings = {key: asdict(get_recipe(key)) for key in shown}
    if as_json:
        print(json.dumps(settings[name] if name else settings, indent=1))
        return
    for key in shown:
        recipe = get_recipe(key)
        what = f"{recipe.model} on {recipe.data}, {recipe.epochs} epochs, batch {recipe.images_per_update}"
        print(f"{key}: {what}")
        print("".join(f"  {line}\n" for line in about(key).splitlines()))
        if name:
            print("\n".join(f"  {setting}={value}" for setting, value in settings[key].items()))
