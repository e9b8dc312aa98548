"""Stacks of three digits against their digits."""

import numpy as np
import pytest
import torch
from helpers.idx_files import write_idx

from ganrun.data.digits import load_shipped_digits
from ganrun.data.images import to_float
from ganrun.data.stacked import StackedDigits, StackedImages, StackedMnist
from ganrun.errors import UserError
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.metrics.stacked import classify_modes


@pytest.fixture
def digits(build):
    options = {"size": 28, "shape": [3, 28, 28], "classes": 1000, "batch_size": 8}
    return build(StackedDigits, triples=5000, **options)


@pytest.fixture
def stacks():
    pictures = torch.randint(0, 256, (7, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return StackedImages(pictures, torch.tensor([[0, 1, 2], [6, 6, 6], [5, 0, 3]]))


def whole(stacks):
    """Return all images as one tensor, by a loop."""
    return torch.stack([torch.stack([stacks.digits[i] for i in triple]) for triple in stacks.triples])


def test_stacks_select_and_index_as_the_whole_tensor_does(stacks):
    full, index = whole(stacks), torch.tensor([2, 0, 0])
    assert (len(stacks), stacks.shape, stacks.dtype, stacks.device) == (3, full.shape, full.dtype, full.device)
    assert torch.equal(stacks.index_select(0, index), full.index_select(0, index))
    for which in (index, slice(1, None), slice(None, None), 1):
        assert torch.equal(stacks[which], full[which])
    assert torch.equal(stacks.to(torch.device("cpu"))[:], full)


def test_stacks_take_no_more_memory_than_their_digits(digits):
    assert digits.contents.splits["train"]["x"].nbytes == 9000 * 28 * 28 + 5000 * 3 * 8
    assert digits.contents.splits["train"]["x"].shape == (5000, 3, 28, 28)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_label_consists_of_the_digits_of_the_three_channels(digits, split):
    known = load_shipped_digits()
    label_of = {x.tobytes(): int(y) for x, y in zip(known[f"x_{split}"], known[f"y_{split}"], strict=True)}
    arrays = digits.contents.splits[split]
    for picture, y in zip(arrays["x"][:50], arrays["y"][:50], strict=True):
        a, b, c = (label_of[channel.numpy().tobytes()] for channel in picture)
        assert y == 100 * a + 10 * b + c


def test_classes_are_named_by_their_digits(digits):
    assert digits.classes[0] == "000"
    assert digits.classes[407] == "407"
    assert len(digits.classes) == 1000


def test_modes_are_equally_likely():
    y = StackedDigits(28, 128_000).load().splits["train"]["y"]
    counts = torch.bincount(y, minlength=1000).double()
    chi = ((counts - 128) ** 2 / 128).sum()
    assert abs(chi - 999) < 5 * (2 * 999) ** 0.5


def test_the_classifier_recognizes_a_mode_as_often_as_three_independent_digits(digits):
    extractor, stacks, y = LeNetExtractor(), *digits.contents.splits["test"].values()
    single = (
        (extractor(stacks.digits[:, None])[1].argmax(1) == torch.from_numpy(load_shipped_digits()["y_test"]))
        .double()
        .mean()
    )
    read = (classify_modes(extractor, stacks[:2000]) == y[:2000]).double().mean()
    expected = single**3
    assert abs(read - expected) < 5 * (expected * (1 - expected) / 2000) ** 0.5


def test_batches_equal_those_of_the_whole_tensor(digits, build):
    arrays, batch = digits.contents.splits["train"], digits.batch(3)
    index = digits.batches._orders["x"].indices(24, 8)
    assert torch.equal(batch["x"], to_float(whole(StackedImages(arrays["x"].digits, arrays["x"].triples[index]))))
    assert torch.equal(batch["y"], arrays["y"][index])


def test_the_module_gives_reference_and_test_examples(digits):
    part = next(digits.reference("x", limit=20))
    assert (part.shape, part.dtype) == ((20, 3, 28, 28), torch.uint8)
    assert digits.reference_count() == 5000
    assert digits.test("x", 5).shape == (5, 3, 28, 28)
    assert digits.test("x", torch.tensor([4, 1])).min() == -1
    assert digits.draw(digits.test("x", 4)).shape[0] == 3


def test_triples_depend_only_on_the_seed():
    first, again, other = (StackedDigits(28, 100, seed).load() for seed in (0, 0, 1))
    assert torch.equal(first.splits["train"]["x"].triples, again.splits["train"]["x"].triples)
    assert not torch.equal(first.splits["train"]["x"].triples, other.splits["train"]["x"].triples)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_size_32_adds_a_black_margin():
    x = StackedDigits(32, 10).load().splits["train"]["x"][:]
    assert x.shape == (10, 3, 32, 32)
    assert x[:, :, :2].max() == 0


def test_mnist_is_stacked_from_its_files(tmp_path, build):
    write_idx(tmp_path / "MNIST" / "raw", packed=True)
    options = {"size": 28, "shape": [3, 28, 28], "classes": 1000}
    data = build(StackedMnist, root=str(tmp_path), triples=6, **options)
    data.prepare_data()
    x, y = data.contents.splits["train"].values()
    assert x.shape == (6, 3, 28, 28)
    assert y.tolist() == (x.triples * torch.tensor([100, 10, 1])).sum(1).tolist()  # digit i of the ten shows i
    assert set(np.unique(data.contents.splits["test"]["y"])) <= {0, 1, 10, 11, 100, 101, 110, 111}


def test_missing_mnist_files_are_named(tmp_path, build):
    with pytest.raises(UserError, match=r"data\.root=.*train-images-idx3-ubyte"):
        build(StackedMnist, root=str(tmp_path), triples=6, size=28, shape=[3, 28, 28]).prepare_data()


def test_no_triples_are_refused():
    with pytest.raises(UserError, match=r"data\.triples must be positive, got 0"):
        StackedDigits(28, 0)
