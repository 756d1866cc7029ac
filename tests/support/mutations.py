"""Random damage to the content of a JSON file."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in the content of a file."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from places(inner)


def mutate(written: Any, draw: random.Random) -> None:
    """One random damage: drop, null, duplicate, truncate, negate, another value or type, a huge number."""
    part = draw.choice(list(written))  # else most would be among the many moments
    place, key = draw.choice([(written, part), *places(written[part])])
    value = place[key]
    kinds = ["drop", "null", "swap", "wrap", "huge", "copy", "bool", "empty", "nudge", "nudge"]
    kind = draw.choice(kinds + (["negate"] if isinstance(value, int | float) else ["shorten", "double"]))
    if kind == "drop":
        del place[key]
    elif kind == "double" and isinstance(value, list) and value:
        value.insert(draw.randrange(len(value)), draw.choice(value))
    elif kind == "shorten" and isinstance(value, list | str):
        place[key] = value[: len(value) // 2]
    elif kind == "nudge" and isinstance(value, int | str):
        place[key] = f"{value}x" if isinstance(value, str) else value + draw.choice([-1, 1, 10**6])
    elif kind == "copy":
        place[key] = deepcopy(draw.choice([inner[name] for inner, name in places(written)]))
    else:
        swapped = str(value) if isinstance(value, int | float) else len(value or ())
        huge = draw.choice([2**63, 10**30, 10**400, 1e300, -1e300, "7" * 50 + "/3", 1e-300])
        negative = -value if isinstance(value, int | float) else -1
        others = {"null": None, "swap": swapped, "wrap": [value], "huge": huge, "bool": True, "empty": {}}
        place[key] = others.get(kind, negative)
