"""The state of a run on disk: written whole or not at all, the newest few kept, found again after any kind of end."""

import io
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from msvit.atomic_write import write_atomically
from msvit.errors import ModelError
from msvit.torch_files import load_torch_file

PATTERN = "state-*.pt"


def random_states() -> dict[str, Any]:
    """The generators of Python, NumPy and torch, as plain data."""
    numpy_state: Any = np.random.get_state()
    name, keys, position, has_gauss, gauss = numpy_state
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def set_random_states(states: Mapping[str, Any]) -> None:
    """Continue where `random_states` was taken."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def save_state(folder: Path, update: int, state: Mapping[str, Any], keep: int) -> Path:
    """Write `folder`/state-UPDATE.pt and drop all but the newest `keep`; ModelError if the disk does not take it."""
    path = folder / f"state-{update:08d}.pt"
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(path, buffer.getvalue())
    for old in sorted(folder.glob(PATTERN))[:-keep]:
        old.unlink()
    return path


def newest_state(folder: Path, device: str) -> dict[str, Any] | None:
    """The newest state that can be read, None without any; ModelError if there are some and all are damaged."""
    found = sorted(folder.glob(PATTERN), reverse=True)
    for path in found:
        try:
            state = load_torch_file(path, device)
        except ModelError:  # an older one may be whole
            continue
        if isinstance(state, dict):
            return state
    if found:
        raise ModelError(f"no state in {folder} can be read: {', '.join(path.name for path in found)}")
    return None
