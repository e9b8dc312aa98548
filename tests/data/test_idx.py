"""MNIST and Fashion-MNIST from idx files."""

import gzip

import numpy as np
import pytest
from helpers.idx_files import DIGITS, LABELS, idx_bytes, write_idx

from ganrun.data import idx
from ganrun.data.idx import PARTS, FashionMnist, Mnist, read_idx
from ganrun.errors import UserError

SOURCES = {"MNIST": Mnist, "FashionMNIST": FashionMnist}


@pytest.mark.parametrize("title", SOURCES)
@pytest.mark.parametrize("folder", ["{}/raw", "."])
@pytest.mark.parametrize("packed", [True, False])
def test_every_layout_holds_the_same_data(tmp_path, build, title, folder, packed):
    write_idx(tmp_path / "root" / folder.format(title), packed)
    data = build(SOURCES[title], root=str(tmp_path / "root"), size=28, channels=1, classes=10)
    splits = data.contents.splits
    assert np.array_equal(splits["train"]["x"].numpy()[:, 0], DIGITS[:10])
    assert np.array_equal(splits["test"]["x"].numpy()[:, 0], DIGITS[10:])
    assert splits["test"]["y"].tolist() == [0, 1]
    assert len(data.classes) == 10


def test_a_second_start_opens_no_idx_file(tmp_path, build, monkeypatch):
    write_idx(tmp_path / "root", packed=True)
    first = build(Mnist, root=str(tmp_path / "root"), size=32, channels=1)
    first.prepare_data()
    monkeypatch.setattr(idx, "read_idx", None)
    second = build(Mnist, root=str(tmp_path / "root"), size=32, channels=1)
    assert second.fingerprint == first.fingerprint
    assert second.contents.splits["train"]["x"].shape == (10, 1, 32, 32)


DAMAGES = {
    "cut off gzip": (PARTS[0] + ".gz", gzip.compress(idx_bytes(DIGITS))[:50]),
    "no gzip": (PARTS[0] + ".gz", b"<html>404 not found</html>"),
    "another magic number": (PARTS[0], b"\0\0\x0d\3" + idx_bytes(DIGITS)[4:]),
    "empty": (PARTS[1], b""),
    "too short": (PARTS[2], idx_bytes(DIGITS)[:-1]),
    "a label out of range": (PARTS[1], idx_bytes(np.full(10, 10, dtype=np.uint8))),
    "fewer labels than images": (PARTS[3], idx_bytes(LABELS[:1])),
    "labels for images": (PARTS[0], idx_bytes(LABELS)),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_named(tmp_path, build, name):
    write_idx(tmp_path / "root", packed=DAMAGES[name][0].endswith(".gz"))
    path = tmp_path / "root" / DAMAGES[name][0]
    path.write_bytes(DAMAGES[name][1])
    with pytest.raises(UserError, match=path.name):
        build(Mnist, root=str(tmp_path / "root"), size=28, channels=1).prepare_data()


def test_images_and_labels_that_do_not_match_are_counted(tmp_path, build):
    write_idx(tmp_path / "root", packed=False)
    (tmp_path / "root" / PARTS[1]).write_bytes(idx_bytes(LABELS[:7]))
    with pytest.raises(UserError, match=r"10 images.*7 labels"):
        build(Mnist, root=str(tmp_path / "root"), size=28, channels=1).prepare_data()


@pytest.mark.parametrize("root", ["nowhere", "."])
def test_a_root_without_the_files_is_refused_with_those_expected(tmp_path, build, root):
    with pytest.raises(UserError, match=r"(?s)data\.root=.*train-images-idx3-ubyte.*MNIST/raw"):
        build(Mnist, root=str(tmp_path / root), size=28, channels=1).prepare_data()


def test_a_single_missing_file_is_refused(tmp_path, build):
    write_idx(tmp_path / "root", packed=True)
    (tmp_path / "root" / f"{PARTS[3]}.gz").unlink()
    with pytest.raises(UserError, match="does not contain MNIST"):
        build(Mnist, root=str(tmp_path / "root"), size=28, channels=1).prepare_data()


def test_without_a_root_the_files_are_downloaded(tmp_path, build, monkeypatch):
    write_idx(tmp_path / "web", packed=True)
    asked = []

    def fetch(urls, md5, folder, advice):
        asked.append((urls[0].rsplit("/", 1)[1], md5, folder))
        return tmp_path / "web" / asked[-1][0]

    monkeypatch.setattr(idx, "download", fetch)
    assert len(build(Mnist, root=None, size=28, channels=1).contents.splits["train"]["x"]) == 10
    assert asked[0] == ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", "mnist")
    assert [name for name, _, _ in asked] == [f"{part}.gz" for part in PARTS]


def test_three_axes_are_read_in_order(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "numbers").write_bytes(idx_bytes(array))
    assert np.array_equal(read_idx(tmp_path / "numbers"), array)
