"""A model's arguments and input size, as given on the command line."""

import json
from typing import Any

from msvit_energy.errors import EnergyError


def parse_arguments(text: str | None) -> dict[str, Any]:
    """Keyword arguments from a JSON object; EnergyError for anything else."""
    if text is None:
        return {}
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EnergyError(f"--model-args must be a JSON object, not {text!r}: {error}") from error
    if not isinstance(arguments, dict):
        raise EnergyError(f'--model-args must be a JSON object, such as {{"depth": 2}}, not {text!r}')
    return arguments


def parse_size(text: str, own: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """C, H, W from "288", "288x384" (with the model's own channels) or "3x288x384"; EnergyError otherwise."""
    parts = text.split("x")
    if not all(part.isdigit() and int(part) > 0 for part in parts) or len(parts) > 3:
        raise EnergyError(f"input size must be N, HxW or CxHxW, such as 288, 288x384 or 3x288x384, not {text!r}")
    if len(parts) == 3:
        channels, height, width = map(int, parts)
        return channels, height, width
    if own is None:
        raise EnergyError(f"the model does not say its channels; give --input-size CxHxW, not {text!r}")
    return own[0], int(parts[0]), int(parts[-1])
