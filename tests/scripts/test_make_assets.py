"""The script that selects the shipped digits."""

import gzip
import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest

from ganrun.data.digits import load_shipped_digits

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_assets.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("make_assets", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_of_each_class_are_chosen_in_file_order(script):
    labels = np.array([1, 0, 0, 1, 2, 0, 2, 1, 2])
    assert script.first_of_each_class(labels, 2).tolist() == [0, 1, 2, 3, 4, 6]


def test_the_file_has_the_chosen_digits_and_is_the_same_each_time(script, tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 20)):
        images, labels = (
            generator.integers(0, 256, (count, 28, 28), dtype=np.uint8),
            np.arange(count, dtype=np.uint8) % 10,
        )
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    monkeypatch.setattr(script, "TRAIN_PER_CLASS", 3)
    monkeypatch.setattr(script, "TEST_PER_CLASS", 1)
    for name in ("one.npz", "two.npz"):
        script.save_compressed(tmp_path / name, script.cut_digits(str(tmp_path)))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    cut = load_shipped_digits(tmp_path / "one.npz")
    assert cut["y_train"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] * 3
    assert cut["y_test"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert np.array_equal(cut["x_test"], images[:10])
