"""Profiles to draw, and figures read back: what texts, cells and bars a figure has, and where."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from msvit_energy import Profile, price
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import NeuronLayer, Operator
from msvit_energy.profiles.provenance import Provenance
from msvit_energy.reporting.figures import energy_bars, firing_rate_difference, firing_rate_heatmap, rate_energy_bubbles
from msvit_energy.reporting.figures.look import USUAL, Look
from msvit_energy.reporting.figures.page import ScalingFigure

MINUS = "\N{MINUS SIGN}"


def neuron(name: str, *sums: int, elements: int = 1000) -> NeuronLayer:
    return NeuronLayer(name, name.partition(".")[0], elements, sums)


def operator(layer: str, kind: str, rate: float, macs: int, role: str = "") -> Operator:
    """An operator of T = 4 runs with `macs` each."""
    origin = "other" if kind == "analog" else "spikes"
    sums, nonzeros = ((Fraction(mean) * 10,) * 4 for mean in (rate, min(rate, 1)))
    operand = Operand(f"{layer}#0", kind, origin, (), elements=40, sums=sums, nonzeros=nonzeros, maximum=1.0)
    return Operator(layer, layer.partition(".")[0], "conv2d", role, 4 * macs, 4, (operand,))


THREE = Profile(
    images=10,
    time_steps=4,
    neurons=(
        neuron("embed.lif", 100, 200, 50, 0),
        neuron("stage1.q", 0, 0, 0, 0),
        neuron("stage1.k", 930, 950, 960, 960),
    ),
    operators=(
        operator("embed.conv", "analog", 0.5, 1000, "entrance"),
        operator("stage1.q", "binary", 0.25, 40_000),
        operator("stage1.k", "integer", 1.5, 10_000),
        operator("head", "analog", 0.5, 640, "head"),
    ),
)
# 1000 MACs at 4.6 pJ once; accumulates at 0.9 pJ: 0.25 x 4 x 40,000, 1.5 x 4 x 10,000
ENERGIES_MJ = [4.6e-6, 36e-6, 54e-6]


def deep(layers: int, steps: int, prefix: str = "") -> Profile:
    """Layers of four stages with all kinds of rates, a silent one and a saturated one among them."""
    names = [f"{prefix}stage{1 + 4 * i // layers}.{i}.attention.part_{i % 7}_lif" for i in range(layers)]
    sums = [tuple((37 * i + 101 * t * t) % 940 for t in range(steps)) for i in range(layers)]
    sums[1], sums[2] = (0,) * steps, (999,) * steps
    neurons = tuple(neuron(name, *row) for name, row in zip(names, sums, strict=True))
    kinds = ("binary", "integer", "binary")
    operators = tuple(
        operator(name.replace("_lif", "_conv"), kinds[i % 3], (13 * i % 40) / 64, 10 ** (4 + i % 5))
        for i, name in enumerate(names)
    )
    notes = tuple(f"warning {i} says that nothing of this means anything for real data" for i in range(9))
    return Profile(2, steps, operators, neurons, provenance=Provenance(warnings=notes))


Box = tuple[float, float, float, float]


class Recording(RendererBase):
    """Keeps where texts would be drawn, in points from the lower left corner, and their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[tuple[str, Box]] = []
        self.sizes: list[float] = []

    def flipy(self) -> bool:
        return False

    def draw_path(self, *_: Any) -> None: ...

    def draw_image(self, *_: Any, **__: Any) -> None: ...

    def draw_markers(self, *_: Any, **__: Any) -> None: ...

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> None:
        assert ismath is False
        width, height, descent = self.get_text_width_height_descent(s, prop, False)
        across = (x, y - descent, x + width, y - descent + height)
        self.texts.append((s, (x - height + descent, y, x + descent, y + width) if angle == 90 else across))
        self.sizes.append(float(prop.get_size_in_points()))


def recorded(figure: Figure) -> Recording:
    """Everything that is written, in points."""
    figure.set_dpi(72)
    everything = Recording()
    figure.draw(everything)
    return everything


def drawn_texts(figure: Figure) -> list[tuple[str, Box]]:
    """All texts that are drawn, with the box around their letters, in points."""
    return recorded(figure).texts


def words(figure: Figure) -> list[str]:
    """All texts that are drawn."""
    return [text for text, _ in drawn_texts(figure)]


def outside(figure: Figure) -> list[str]:
    """Texts that leave the page by more than a hair (0.2 points)."""
    width, height = 72 * figure.get_size_inches()
    return [
        text
        for text, (x0, y0, x1, y1) in drawn_texts(figure)
        if x0 < -0.2 or y0 < -0.2 or x1 > width + 0.2 or y1 > height + 0.2
    ]


def overlapping(boxes: list[tuple[str, tuple[float, float, float, float]]]) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes share more than a hair (0.2 points)."""
    x0, y0, x1, y1 = np.array([box for _, box in boxes]).T
    shared = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0) > 0.2
    shared &= np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0) > 0.2
    return [(boxes[i][0], boxes[j][0]) for i, j in np.argwhere(shared) if i < j]


def cells(figure: Figure) -> np.ndarray:
    """The numbers behind the coloured cells, `[layers, steps]`."""
    mesh = next(artist for artist in figure.axes[0].collections if isinstance(artist, QuadMesh))
    return np.asarray(mesh.get_array())


def bars(figure: Figure) -> list[Rectangle]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]


def rows_marked(figure: Figure, sign: str) -> list[int]:
    (line,) = (line for line in figure.axes[0].lines if line.get_gid() == sign)
    return [int(row) for row in np.asarray(line.get_ydata())]


def of_rates(profile: Profile, look: Look = USUAL) -> ScalingFigure:
    return firing_rate_heatmap(profile, look=look)


def of_energy(profile: Profile, look: Look = USUAL) -> ScalingFigure:
    return energy_bars(profile, price(profile), look=look)


def of_bubbles(profile: Profile, look: Look = USUAL) -> ScalingFigure:
    return rate_energy_bubbles(profile, price(profile), look=look)


def of_difference(profile: Profile, look: Look = USUAL) -> ScalingFigure:
    other = replace(profile, neurons=profile.neurons[::-2])
    return firing_rate_difference(profile, other, ("a" * 300, "b.json"), look=look)
