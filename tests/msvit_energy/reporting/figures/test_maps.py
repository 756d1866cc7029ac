"""Maps of layers, read back from their images."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from msvit_energy import EnergyError
from msvit_energy.profiles.firing_maps import Example, LayerMap
from msvit_energy.profiles.provenance import DataOrigin, ModelOrigin, Provenance
from msvit_energy.reporting.figures import Look
from msvit_energy.reporting.figures.maps import firing_maps
from tests.support.figures import THREE, drawn_texts, outside, overlapping, words

LAYERS = [
    LayerMap("stage1.lif", (3, 4, 4), np.array([0.3, 0.0, 0.1]), np.arange(16.0).reshape(4, 4) / 100),
    LayerMap("stage2.lif", (5, 2, 2), np.array([0.5, 0.2, 0.0, 0.0, 0.1]), np.arange(4.0).reshape(2, 2) / 10),
    LayerMap("head.lif", (10,), np.linspace(0, 0.9, 10), None),
]
ALONE = [replace(layer, positions=None if layer.positions is None else layer.positions * 2) for layer in LAYERS]
EXAMPLE = Example("7", np.linspace(0, 1, 64).reshape(8, 8), ALONE)
PROFILE = replace(THREE, provenance=Provenance(model=ModelOrigin("mynet"), data=DataOrigin("mydata")))


def images(figure: Figure) -> list[np.ndarray]:
    """The arrays of all images, in the order of their axes."""
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def test_the_input_is_drawn_once_and_each_layer_beside_its_mean() -> None:
    drawn = images(firing_maps(LAYERS, EXAMPLE, PROFILE))
    assert [image.shape for image in drawn] == [(8, 8), (4, 4), (4, 4), (2, 2), (2, 2)]
    assert drawn[1].tolist() == (LAYERS[0].positions * 2).tolist()  # type: ignore[operator]
    assert drawn[2].tolist() == LAYERS[0].positions.tolist()  # type: ignore[union-attr]


def test_maps_of_a_layer_share_their_colours_and_a_labelled_colour_bar() -> None:
    figure = firing_maps(LAYERS, EXAMPLE, PROFILE)
    limits = [image.get_clim() for axes in figure.axes for image in axes.images][1:]
    assert limits == [(0, 0.3), (0, 0.3), (0, 0.6), (0, 0.6)]
    labels = [axes.get_ylabel() for axes in figure.axes if any(isinstance(each, QuadMesh) for each in axes.collections)]
    assert labels == ["firing rate"] * 2


def test_model_data_and_what_a_layer_does_are_said() -> None:
    written = words(firing_maps(LAYERS, EXAMPLE, PROFILE))
    assert "Firing rates by position and by channel, mynet on mydata" in written
    assert "input 7" in written
    assert "stage1.lif: 3 x 4 x 4 as 3 channels of 4 x 4, mean 0.1333, 1 of 3 channels silent" in written
    assert written.count("no positions") == 2


@pytest.mark.parametrize("look", [Look(), Look(width="column"), Look(paper=True), Look(width=7.16, font_size=10)])
@pytest.mark.parametrize("example", [EXAMPLE, None])
def test_texts_fit(example: Example | None, look: Look) -> None:
    figure = firing_maps(LAYERS, example, PROFILE, look=look)
    assert overlapping(drawn_texts(figure)) == []
    assert outside(figure) == []
    if look.inches:
        assert figure.get_size_inches()[0] == pytest.approx(look.inches)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(EnergyError, match="no layer was mapped"):
        firing_maps([])
    with pytest.raises(EnergyError, match=r"2 inches are too narrow for maps; \d"):
        firing_maps(LAYERS, EXAMPLE, look=Look(width=2))
