import logging
from pathlib import Path

import pooch
import pytest
import torch
from helpers.weights import random_inception
from safetensors.torch import save_file

from ganrun.errors import UserError
from ganrun.files import sha256_of_file
from ganrun.metrics.extractors import weights
from ganrun.metrics.extractors.base import InceptionExtractor
from ganrun.metrics.extractors.inception import InceptionV3


@pytest.fixture(scope="module")
def network():
    return InceptionV3()


@pytest.fixture(scope="module")
def state():
    return random_inception()


def test_a_file_in_the_public_layout_is_loaded_and_its_digest_returned(inception_file, network, state):
    assert weights.load_weights(network, inception_file) == sha256_of_file(inception_file)
    assert torch.equal(network.fc.weight, state["fc.weight"])
    assert torch.equal(
        network.Mixed_7c.branch3x3dbl_3b.bn.running_var, state["Mixed_7c.branch3x3dbl_3b.bn.running_var"]
    )


def test_a_file_without_batch_counters_is_loaded_too(tmp_path, network, state):
    save_file(weights.drop_batch_counters(state), tmp_path / "w.safetensors")
    weights.load_weights(network, tmp_path / "w.safetensors")


def test_an_incomplete_file_is_refused_with_its_name_and_the_first_missing_tensor(tmp_path, network, state):
    torch.save({key: value for key, value in state.items() if not key.startswith("fc.")}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth does not fit InceptionV3.* 2 missing \(first: fc\.weight\)"):
        weights.load_weights(network, tmp_path / "w.pth")


def test_a_wrong_shape_and_an_unknown_tensor_are_named(tmp_path, network, state):
    torch.save({**state, "fc.weight": torch.zeros(1000, 2048), "AuxLogits.x": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"1 unknown \(first: AuxLogits\.x\), 1 of another shape \(first: fc\.weight\)"):
        weights.load_weights(network, tmp_path / "w.pth")


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 half a zip"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path, network, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} cannot be read as a weight file"):
        weights.load_weights(network, tmp_path / name)


def test_a_truncated_file_is_refused(tmp_path, network, inception_file):
    (tmp_path / "w.pth").write_bytes(inception_file.read_bytes()[:1_000_000])
    with pytest.raises(UserError, match=r"w\.pth cannot be read as a weight file"):
        weights.load_weights(network, tmp_path / "w.pth")


def test_a_file_that_would_run_code_is_refused(tmp_path, network):
    torch.save({"x": Path("/")}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="cannot be read"):
        weights.load_weights(network, tmp_path / "w.pth")


def test_a_path_that_does_not_exist_is_refused_before_anything_is_downloaded():
    with pytest.raises(UserError, match=r"metrics\.weights=/no/such\.pth: there is no such file"):
        InceptionExtractor("/no/such.pth").load()


def test_without_a_connection_the_message_says_which_file_to_put_where(cache, monkeypatch):
    def offline(*args, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", offline)
    with pytest.raises(UserError) as refusal:
        InceptionExtractor().load()
    message = str(refusal.value)
    assert weights.INCEPTION.url in message
    assert str(cache / "downloads" / weights.INCEPTION.file) in message
    assert "metrics.weights=" in message
    assert "metrics=none" in message


def test_the_download_is_pinned_by_the_full_digest_that_the_files_name_begins(monkeypatch, cache):
    asked = {}

    def write_nothing(url, known_hash, **options):
        asked.update(options, hash=known_hash)
        options["path"].mkdir()
        (options["path"] / options["fname"]).touch()

    monkeypatch.setattr(pooch, "retrieve", write_nothing)
    monkeypatch.setattr(weights, "sha256_of_file", lambda path: weights.INCEPTION.digest)
    assert weights.find_weights(weights.INCEPTION) == cache / "downloads" / weights.INCEPTION.file
    assert asked["hash"].startswith("6726825d")
    assert len(asked["hash"]) == 64
    assert asked["path"].parent == cache / "downloads"
    assert [path.name for path in (cache / "downloads").iterdir()] == [weights.INCEPTION.file]


def test_a_damaged_download_is_named(cache):
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / weights.INCEPTION.file).write_bytes(b"half")
    with pytest.raises(UserError, match=r"6726825d.* is damaged"):
        InceptionExtractor().load()


def test_weights_other_than_the_public_ones_are_used_with_a_warning(inception_file, caplog):
    extractor = InceptionExtractor(inception_file)
    with caplog.at_level(logging.WARNING):
        extractor.load()
        extractor.load()
    assert caplog.text.count("do not compare FID and IS to published ones") == 1
    assert extractor.digest == sha256_of_file(inception_file)
    assert not any(w.requires_grad for w in extractor.network.parameters())
    assert not extractor.network.training
