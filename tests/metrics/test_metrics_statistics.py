import logging

import pytest
import torch
from metrics_fakes import Means, Pictures

from ganrun.metrics import statistics
from ganrun.metrics.frechet import FrechetDistance


def measured(n=60):
    data = Pictures(n)
    return data, statistics.measure(data.reference(), n, Means(), torch.device("cpu"))


def test_sums_are_those_of_all_features():
    data, found = measured()
    features = Means()(data.arrays["x"])[0].double()
    assert torch.allclose(found.total, features.sum(0))
    assert torch.allclose(found.outer, features.T @ features)
    assert found.count == 60


def test_the_floor_is_the_distance_of_two_halves():
    data, found = measured()
    features = Means()(data.arrays["x"])[0]
    first = torch.randperm(60, generator=torch.Generator().manual_seed(0)) % 2 == 0
    metric = FrechetDistance(4)
    metric.update(features[first], real=True)
    metric.update(features[~first], real=False)
    assert found.floor.item() == pytest.approx(metric.compute().item())


def test_three_pictures_have_no_floor():
    assert measured(3)[1].floor.isnan()


def test_what_is_written_is_read_to_the_last_bit(tmp_path):
    _, found = measured()
    statistics.write(tmp_path / "new" / "s.safetensors", found)
    again = statistics.read(tmp_path / "new" / "s.safetensors", 4)
    for name in ("total", "outer", "count", "floor"):
        assert torch.equal(getattr(found, name), getattr(again, name))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["s.safetensors"]


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:50], lambda b: b[:-8], lambda b: b"\xff" + b[1:]])
def test_a_damaged_file_counts_as_none_and_is_logged(tmp_path, caplog, damage):
    path = tmp_path / "s.safetensors"
    statistics.write(path, measured()[1])
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.INFO):
        assert statistics.read(path, 4) is None
    assert "measured anew" in caplog.text


def test_statistics_of_another_size_count_as_none(tmp_path):
    statistics.write(tmp_path / "s.safetensors", measured()[1])
    assert statistics.read(tmp_path / "s.safetensors", 5) is None
    assert statistics.read(tmp_path / "missing.safetensors", 4) is None
