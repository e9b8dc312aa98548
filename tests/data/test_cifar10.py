"""CIFAR-10 in both layouts, and what a hostile file cannot do."""

import io
import pickle
import tarfile

import numpy as np
import pytest
from helpers.cifar10_files import LABELS, PIXELS, files, write_folder

from ganrun.data.cifar10 import Cifar10, parse_python_batch
from ganrun.errors import UserError

LAYOUTS = ["cifar-10-batches-py", "cifar-10-batches-bin"]


def write_archive(path, entries):
    """entries: (TarInfo or name, content)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for entry, content in entries:
            info = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def check(data):
    splits = data.contents.splits
    assert np.array_equal(splits["train"]["x"].numpy(), PIXELS[:5].reshape(15, 3, 32, 32))
    assert splits["train"]["y"].tolist() == [label for labels in LABELS[:5] for label in labels]
    assert np.array_equal(splits["test"]["x"].numpy(), PIXELS[5].reshape(3, 3, 32, 32))
    assert data.classes[splits["test"]["y"][2]] == "truck"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("position", ["inside", "itself"])
def test_a_folder_in_either_layout_holds_the_same_data(tmp_path, build, layout, position):
    root = tmp_path / "root"
    write_folder(root / layout if position == "inside" else root, layout)
    check(build(Cifar10, root=str(root), size=32, channels=3))


@pytest.mark.parametrize(("layout", "archive"), [(LAYOUTS[0], "python"), (LAYOUTS[1], "binary")])
def test_an_archive_is_read_without_unpacking_it(tmp_path, build, layout, archive):
    path = tmp_path / "root" / f"cifar-10-{archive}.tar.gz"
    write_archive(path, [(f"{layout}/{name}", content) for name, content in files(layout).items()])
    check(build(Cifar10, root=str(path.parent), size=32, channels=3))
    assert list(path.parent.iterdir()) == [path]


def test_an_archive_cannot_write_or_reach_anything_outside(tmp_path, build):
    link = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    content = files(LAYOUTS[1])
    entries = [("../../escaped", b"x"), (link, b"")]
    entries += [(f"cifar-10-batches-bin/{name}", content[name]) for name in content if name != "test_batch.bin"]
    write_archive(tmp_path / "root" / "cifar-10-binary.tar.gz", entries)
    with pytest.raises(UserError, match=r"lacks test_batch\.bin"):
        build(Cifar10, root=str(tmp_path / "root"), size=32, channels=3).prepare_data()
    assert not (tmp_path.parent / "escaped").exists()


class Attack:
    def __reduce__(self):
        return eval, ("open('pwned', 'w').close()",)


class Disguised:
    """An attack behind a name that numpy's own pickles use."""

    def __reduce__(self):
        return np.load, ("/etc/passwd",)


@pytest.mark.parametrize(("attack", "name"), [(Attack(), r"builtins\.eval"), (Disguised(), r"numpy.*\.load")])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path, monkeypatch, attack, name, protocol):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"data": PIXELS[0], "labels": attack}, protocol=protocol)
    with pytest.raises(
        UserError, match=rf"data_batch_1 refers to {name}".replace("builtins", r"(builtins|__builtin__)")
    ):
        parse_python_batch(content, "data_batch_1")
    assert not (tmp_path / "pwned").exists()


def test_a_real_python_2_pickle_is_read():
    """The opcodes of the published files: byte strings, and numpy's array as Python 2 wrote it."""
    content = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05"
        b"U\x01bq\x06\x87q\x07Rq\x08(K\x01K\x01M\x00\x0c\x86q\tcnumpy\ndtype\nq\nU\x02u1q\x0bK\x00K\x01\x87q\x0cRq\r"
        b"(K\x03U\x01|q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbI00\nT\x00\x0c\x00\x00" + PIXELS[0, 0].tobytes()
    ) + b"q\x0ftbU\x06labelsq\x10]q\x11K\x07au."
    pixels, labels = parse_python_batch(content, "data_batch_1")
    assert np.array_equal(pixels.reshape(-1), PIXELS[0, 0])
    assert labels.tolist() == [7]


DAMAGES = {
    "cut off": pickle.dumps({b"data": PIXELS[0], b"labels": LABELS[0]}, protocol=2)[:500],
    "empty": b"",
    "text": b"<html>not found</html>",
    "no dict": pickle.dumps([1, 2, 3]),
    "no labels": pickle.dumps({b"data": PIXELS[0]}, protocol=2),
    "fewer labels than pictures": pickle.dumps({b"data": PIXELS[0], b"labels": [1, 2]}, protocol=2),
    "a label out of range": pickle.dumps({b"data": PIXELS[0], b"labels": [1, 2, 10]}, protocol=2),
    "labels that are no numbers": pickle.dumps({b"data": PIXELS[0], b"labels": ["a", "b", "c"]}, protocol=2),
    "other pictures": pickle.dumps({b"data": PIXELS[0, :, :100], b"labels": [1, 2, 3]}, protocol=2),
    "floats": pickle.dumps({b"data": PIXELS[0].astype(float), b"labels": [1, 2, 3]}, protocol=2),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_pickle_is_named(name):
    with pytest.raises(UserError, match=r"data_batch_3 is damaged"):
        parse_python_batch(DAMAGES[name], "data_batch_3")


def test_a_damaged_binary_batch_is_named(tmp_path, build):
    write_folder(tmp_path / "root", LAYOUTS[1])
    path = tmp_path / "root" / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"data_batch_2\.bin is damaged"):
        build(Cifar10, root=str(tmp_path / "root"), size=32, channels=3).prepare_data()


def test_a_damaged_archive_is_named(tmp_path, build):
    path = tmp_path / "root" / "cifar-10-python.tar.gz"
    write_archive(path, [(f"cifar-10-batches-py/{name}", content) for name, content in files(LAYOUTS[0]).items()])
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"cifar-10-python\.tar\.gz is damaged"):
        build(Cifar10, root=str(path.parent), size=32, channels=3).prepare_data()


def test_a_root_without_the_files_is_refused_with_the_layouts(tmp_path, build):
    with pytest.raises(UserError, match=r"cifar-10-batches-py.*cifar-10-batches-bin"):
        build(Cifar10, root=str(tmp_path), size=32, channels=3).prepare_data()
