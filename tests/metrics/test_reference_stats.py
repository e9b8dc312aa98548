import logging
import math
import os
import signal
import subprocess
import sys

import pytest
import torch
from helpers.metric_fakes import Means, Pictures

from ganrun.metrics import reference_stats
from ganrun.metrics.scores.frechet import FrechetDistance

KEY = {"format": 1, "data": "fake"}


def measured(n=60, **options):
    data = Pictures(n)
    return data, reference_stats.measure_statistics(data.reference(), n, Means(), torch.device("cpu"), **options)


def test_sums_are_those_of_all_features():
    data, result = measured()
    features = Means()(data.arrays["x"])[0].double()
    assert torch.allclose(result.total, features.sum(0))
    assert torch.allclose(result.outer, features.T @ features)
    assert result.count == 60


def test_the_baseline_is_the_distance_of_two_halves():
    data, result = measured()
    features = Means()(data.arrays["x"])[0]
    first = torch.randperm(60, generator=torch.Generator().manual_seed(0)) % 2 == 0
    metric = FrechetDistance(4)
    metric.update(features[first], real=True)
    metric.update(features[~first], real=False)
    assert result.baselines["fd"] == pytest.approx(metric.compute().item())


def test_three_images_have_no_baseline():
    _, result = measured(3)
    assert all(math.isnan(result.baselines[name]) for name in ("fd", "diversity", "kid", "precision", "intra_fd"))


def test_features_are_kept_with_their_labels():
    labels = torch.arange(60)
    data, result = measured(keep=20, labels=labels)
    assert len(result.features) == len(result.radii) == 20
    assert torch.equal(result.features, Means()(data.arrays["x"])[0][result.labels])
    assert result.labels.tolist() == sorted(result.labels.tolist())


def test_saved_statistics_are_loaded_bit_for_bit(tmp_path):
    _, result = measured(labels=torch.arange(60) % 10)
    reference_stats.save_statistics(tmp_path / "new" / "s.safetensors", result, KEY)
    again = reference_stats.load_statistics(tmp_path / "new" / "s.safetensors", KEY, 4)
    assert again.baselines == result.baselines
    for name in reference_stats.TENSORS:
        assert torch.equal(getattr(again, name), getattr(result, name))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["s.safetensors"]


def flip_bit(content, index=-9):
    return content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "cut in the header": lambda content: content[:50],
    "cut at the end": lambda content: content[:-8],
    "another first byte": lambda content: b"\xff" + content[1:],
    "one bit of a number": flip_bit,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_ignored_with_a_warning(tmp_path, caplog, damage):
    path = tmp_path / "s.safetensors"
    reference_stats.save_statistics(path, measured()[1], KEY)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with caplog.at_level(logging.INFO):
        assert reference_stats.load_statistics(path, KEY, 4) is None
    assert "cached statistics are unusable" in caplog.text


def test_a_file_of_another_identity_is_ignored_even_under_the_right_name(tmp_path, caplog):
    path = tmp_path / "s.safetensors"
    reference_stats.save_statistics(path, measured()[1], {**KEY, "format": 0})
    assert reference_stats.load_statistics(path, KEY, 4) is None
    assert '"format": 0' in caplog.text


def test_statistics_of_another_size_are_ignored(tmp_path):
    reference_stats.save_statistics(tmp_path / "s.safetensors", measured()[1], KEY)
    assert reference_stats.load_statistics(tmp_path / "s.safetensors", KEY, 5) is None
    assert reference_stats.load_statistics(tmp_path / "missing.safetensors", KEY, 4) is None


KILLED = """
import pathlib, sys, time
sys.path.insert(0, {tests!r})
from metrics.test_reference_stats import KEY, measured
from ganrun.metrics import reference_stats
plain = pathlib.Path.write_bytes
def slowly(path, content):
    plain(path, content[:-100])
    print("half", flush=True)
    time.sleep(60)
pathlib.Path.write_bytes = slowly
reference_stats.save_statistics(pathlib.Path({path!r}), measured()[1], KEY)
"""


@pytest.mark.slow
def test_a_killed_save_leaves_a_temporary_file_that_is_not_loaded_and_that_the_next_save_deletes(tmp_path):
    path = tmp_path / "s.safetensors"
    code = KILLED.format(tests=os.path.dirname(os.path.dirname(__file__)), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left, lock = sorted(tmp_path.iterdir())
    assert lock.name == f"{left.name}.lock"
    assert left.name.startswith(".s.safetensors.")
    assert reference_stats.load_statistics(path, KEY, 4) is None
    reference_stats.save_statistics(path, measured()[1], KEY)
    assert [*tmp_path.iterdir()] == [path]
    assert reference_stats.load_statistics(path, KEY, 4) is not None
