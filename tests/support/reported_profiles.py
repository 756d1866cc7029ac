"""Profiles for the tests of the report page: a small model whose layers all fire, measured on random images."""

import json
from functools import cache
from pathlib import Path

import torch

import msvit
import msvit_energy
from msvit_energy import Profile
from tests.support import parity

ODD_PRICES = (3.3, 0.7)  # of no known technology
LAYER, NEURON = "stage1.0.tssa.q_conv", "stage1.0.tssa.q_lif"


@cache
def profiles() -> dict[str, Profile]:
    """T = 4 with an estimate after Lemaire et al., the same with T = 2 without, and one image without labels."""
    model = msvit.create_model("msvit_digits").eval()
    parity.draw(model, {"seed": 0, "gain": 2.5, "input_shape": (1, 1, 12, 12), "input_kind": "image"})
    images = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6)
    facts = {"model": {"name": "msvit_digits"}, "data": {"name": "noise"}, "command": ["msvit-energy", "a b"]}
    return {
        "four": msvit_energy.profile(model, [(images, labels)], lemaire=2, provenance=facts),
        "two": msvit_energy.profile(model, [(images, labels)], time_steps=2, provenance=facts),
        "single": msvit_energy.profile(model, [images[:1]], provenance=facts | {"warnings": ["one image only"]}),
    }


def saved(folder: Path) -> dict[str, Path]:
    """Those profiles as files, each in a folder of its name."""
    paths = {}
    for name, profile in profiles().items():
        paths[name] = folder / name / "profile.json"
        paths[name].parent.mkdir(parents=True)
        profile.save(paths[name])
    return paths


def renamed(profile: Profile, names: dict[str, str], folder: Path) -> Profile:
    """A profile with other names of layers, neurons and stages, wherever they stand in its file."""
    path = folder / "renamed.json"
    profile.save(path)
    content = path.read_text()
    for old, new in names.items():
        content = content.replace(old, json.dumps(new)[1:-1])
    path.write_text(content)
    return Profile.load(path)
