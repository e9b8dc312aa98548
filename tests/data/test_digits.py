"""The shipped digits, and the translation task from them."""

import hashlib

import numpy as np
import pytest
import torch

from ganrun.data.digits import SHIPPED, Digits, load_shipped_digits
from ganrun.data.images import to_float
from ganrun.data.unpaired_digits import INK, PAPER, UnpairedDigits, colour_digits, in_second_half
from ganrun.errors import UserError

BYTE = 1 / 127.5  # one step of a byte, in the range [-1, 1]


@pytest.fixture
def digits(build):
    return build(Digits, size=28, channels=1, classes=10, reference=["train", "test"])


@pytest.fixture
def domains(build):
    return build(UnpairedDigits, gives=("a", "b", "picture"), size=32, channels=3, classes=0)


def test_every_class_is_equally_frequent(digits):
    for split, count in (("train", 900), ("test", 100)):
        assert torch.bincount(digits.contents.splits[split]["y"]).tolist() == [count] * 10


def test_the_shipped_digits_are_the_pinned_ones():
    arrays = load_shipped_digits()
    digest = hashlib.sha256(arrays["x_train"].tobytes() + arrays["x_test"].tobytes()).hexdigest()
    assert digest[:16] == "a1970e2f68cc249b"
    assert SHIPPED.stat().st_size < 2_500_000


def test_the_file_has_the_indices_of_its_digits_in_mnist():
    with np.load(SHIPPED) as file:
        assert len(np.unique(file["train_index"])) == 9000
        assert len(np.unique(file["test_index"])) == 1000
        assert file["train_index"].max() < 60_000


def test_scores_compare_with_all_ten_thousand(digits):
    assert digits.reference_count() == 10_000
    assert sum(map(len, digits.reference())) == 10_000


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "digits.npz"
    path.write_bytes(SHIPPED.read_bytes()[:5000] if content is None else content)
    with pytest.raises(UserError, match=r"digits\.npz are damaged"):
        load_shipped_digits(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"missing.*digits\.npz"):
        load_shipped_digits(tmp_path / "digits.npz")


def test_training_domains_share_no_digit_and_have_equally_many_of_each_class():
    labels = load_shipped_digits()["y_train"]
    second = in_second_half(labels)
    assert np.bincount(labels[second]).tolist() == np.bincount(labels[~second]).tolist() == [450] * 10


def test_the_training_domains_are_those_digits(domains):
    arrays, splits = load_shipped_digits(), domains.contents.splits
    second = in_second_half(arrays["y_train"])
    for key, mine in (("a", ~second), ("b", second)):
        found = domains.intensity(to_float(splits["train"][key]), key)[:, 0, 2:30, 2:30]
        assert (found - to_float(torch.from_numpy(arrays["x_train"][mine]))).abs().max() < BYTE


def test_the_test_split_has_pairs_with_labels(domains):
    a, b, y = (domains.test(key) for key in "aby")
    assert domains.is_paired
    assert (domains.intensity(a, "a") - domains.intensity(b, "b")).abs().max() < BYTE
    assert y.tolist() == load_shipped_digits()["y_test"].tolist()


@pytest.mark.parametrize("domain", ["a", "b"])
def test_intensity_inverts_the_colouring_of_every_shade(domain):
    shades = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    picture = to_float(torch.from_numpy(colour_digits(shades, domain)))
    found = UnpairedDigits(28, 3).intensity(picture, domain)
    assert found.shape == (1, 1, 16, 16)
    assert (found - to_float(torch.from_numpy(shades))).abs().max() < BYTE


def test_intensity_stays_in_range_for_any_image():
    noise = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 6 - 3
    found = UnpairedDigits(28, 3).intensity(noise, "b")
    assert (found.min(), found.max()) == (-1, 1)


@pytest.mark.parametrize("domain", ["a", "b"])
def test_paper_and_ink_have_their_colours(domain):
    ends = colour_digits(np.array([0, 255], dtype=np.uint8).reshape(1, 1, 1, 2), domain)
    assert ends[0, :, 0, 0].tolist() == list(PAPER[domain])
    assert ends[0, :, 0, 1].tolist() == list(INK[domain])


def test_the_margin_is_paper(domains):
    b = domains.contents.splits["train"]["b"]
    assert b.shape == (4500, 3, 32, 32)
    assert (b[:, :, :2] == torch.tensor(PAPER["b"]).view(1, 3, 1, 1)).all()


def test_domains_need_colour():
    with pytest.raises(UserError, match=r"data\.channels must be 3 .*got 1"):
        UnpairedDigits(28, 1)
