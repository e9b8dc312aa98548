"""Room for the arrays of a cache: reserved before they are written, and named if it is not there."""

import os

import numpy as np
import pytest
from helpers.disks import fill, small_disk

from ganrun.data.cache import CacheWriter, map_new_file
from ganrun.errors import UserError
from ganrun.terminal import round_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (3_210_000, "3.21 MB"), (5e9, "5 GB"), (2e16, "2e+04 TB")],
)
def test_bytes_are_formatted_with_three_digits(count, text):
    assert round_bytes(count) == text


def test_an_array_that_does_not_fit_is_refused_with_what_is_missing(tmp_path):
    message = r"need 4 MB, .* more than .* has free.*GANRUN_CACHE"
    with small_disk(tmp_path / "disk") as disk, pytest.raises(UserError, match=message):
        CacheWriter(disk).new("train", "x", (4_000_000,))


def test_a_disk_that_others_fill_after_the_check_does_not_kill_the_process(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        array = map_new_file(disk / "train-x.npy", np.dtype(np.uint8), (1_000_000,))
        fill(disk, 0)
        array[:] = 7  # a sparse file would end the process by SIGBUS here
        assert os.stat(disk / "train-x.npy").st_blocks * 512 >= 1_000_000


def test_a_disk_that_is_filled_before_the_space_is_reserved_is_named(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        fill(disk, 8192)
        with pytest.raises(UserError, match=r"more than .* has free"):
            map_new_file(disk / "train-x.npy", np.dtype(np.uint8), (1_000_000,))
