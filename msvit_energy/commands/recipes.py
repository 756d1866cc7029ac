"""`msvit-energy recipes`: what `train` can run, and where the numbers of each recipe come from."""

import json
from typing import Annotated

import typer

from msvit_energy.commands._options import AsJson

EXAMPLES = """
msvit-energy recipes
msvit-energy recipes digits --json
"""


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show one, with all its settings.")] = None,
    as_json: AsJson = False,
) -> None:
    """List training recipes: model, data, epochs, and what they came from."""
    from msvit_energy.workflows.training.recipe_list import recipe_description, recipe_settings

    settings = recipe_settings(name)
    if as_json:
        print(json.dumps(settings[name] if name else settings, indent=1))
        return
    for key, values in settings.items():
        print(recipe_description(key))
        if name:
            print("\n".join(f"  {setting}={value}" for setting, value in values.items()))
