"""Value ranges, grids and scatters."""

import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.data.images import (
    GENERATED_COLOUR,
    GRID_GREY,
    REAL_COLOUR,
    make_grid,
    plot_points,
    save_png,
    to_float,
    to_uint8,
)

ALL_BYTES = torch.arange(256, dtype=torch.uint8)


def test_bytes_become_minus_one_to_one_with_both_ends_exact():
    x = to_float(ALL_BYTES)
    assert x[0] == -1
    assert x[255] == 1
    assert torch.allclose(x.double(), ALL_BYTES.double() / 127.5 - 1, atol=2e-7, rtol=0)


def test_floats_become_the_bytes_that_they_came_from():
    assert torch.equal(to_uint8(to_float(ALL_BYTES)), ALL_BYTES)


def test_floats_out_of_range_are_clamped():
    assert to_uint8(torch.tensor([-3.0, -1.0, 0.0, 1.0, 7.0])).tolist() == [0, 0, 128, 255, 255]


def test_a_grid_shows_its_images_row_by_row_between_grey_lines():
    x = torch.tensor([-1.0, 0.2, 1.0]).view(3, 1, 1, 1).expand(3, 1, 4, 5)
    picture = make_grid(x, columns=2)
    assert picture.shape == (3, 2 + 2 * (4 + 2), 2 + 2 * (5 + 2))
    assert (picture[:, 2:6, 2:7] == 0).all()
    assert (picture[:, 2:6, 9:14] == 153).all()
    assert (picture[:, 8:12, 2:7] == 255).all()
    assert (picture[:, 8:12, 9:14] == GRID_GREY).all()
    assert (picture[:, :2] == GRID_GREY).all()


def test_a_grid_has_no_more_columns_than_images():
    assert make_grid(torch.zeros(3, 3, 4, 4), columns=8).shape == (3, 8, 20)


def test_a_grid_keeps_the_order_of_the_colours():
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert make_grid(red)[:, 3, 3].tolist() == [255, 0, 0]


def test_a_plot_shows_generated_points_over_real_ones_with_y_upwards():
    real = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])
    picture = plot_points(torch.tensor([[1.0, 1.0]]), real)
    assert picture.shape == (3, 400, 400)
    # a side is 2 with an eighth on each side: -1 stands at a tenth of 399, 1 at nine tenths
    assert picture[:, 40, 359].tolist() == list(GENERATED_COLOUR)
    assert picture[:, 359, 40].tolist() == list(REAL_COLOUR)
    assert picture[:, 200, 200].tolist() == [255, 255, 255]


@pytest.mark.parametrize("point", [[50.0, 0.0], [float("nan"), 0.0], [0.0, float("-inf")]])
def test_a_plot_omits_points_outside_its_limits(point):
    real = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    assert torch.equal(plot_points(torch.tensor([point]), real), plot_points(torch.zeros(0, 2), real))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_has_the_pixels(tmp_path, channels):
    picture = torch.randint(0, 256, (channels, 6, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    save_png(tmp_path / "new" / "picture.png", picture)
    read = np.asarray(Image.open(tmp_path / "new" / "picture.png")).reshape(6, 7, channels)
    assert np.array_equal(read, picture.permute(1, 2, 0).numpy())
