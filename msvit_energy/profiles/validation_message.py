"""Why a file's content was refused, with the path of the field, in one line."""

import re
from typing import Any

from msgspec import ValidationError

STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


def validation_message(error: ValidationError, content: Any) -> str:
    """msgspec's message as `$.path: expected ..., got ...`."""
    text, at, path = str(error).removesuffix("`").rpartition(" - at `")
    text, path = (text, path) if at else (path, "")
    text = " ".join(text.replace("`", "").split())
    text = text[0].lower() + text[1:]
    if text.startswith("expected") and ", got " not in text and "[...]" not in path:  # of an unknown key
        text += f", got {_value_at(path, content)}"
    return f"{path or '$'}: {text}"


def _value_at(path: str, content: Any) -> str:
    """What stands at a path such as `$.operators[3].operands[0].elements`."""
    for name, index in STEP.findall(path):
        content = content[int(index)] if index else content[name]
    return repr(content)[:60]
