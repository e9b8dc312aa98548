"""Data sets, archives and caches that claim or unpack to too much are refused with one message, within bounds."""

import gzip
import io
import json
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers import bombs
from helpers.bounded import LIMIT, PATIENCE, run_measured
from helpers.celeba_files import face, write_tables
from helpers.cifar10_files import LABELS, PIXELS, files, write_folder
from helpers.hostile import make_fifo, make_link
from helpers.idx_files import write_idx
from PIL import Image

from ganrun.data import celeba, cifar10, idx
from ganrun.data.celeba import Celeba
from ganrun.data.cifar10 import Cifar10, parse_python_batch
from ganrun.data.folder import Folder
from ganrun.data.idx import PARTS, Mnist, read_idx
from ganrun.errors import UserError

PYTHON = "cifar-10-batches-py"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def idx_header(*shape):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)


def write_packed_zeros(path, head, count):
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for start in range(0, count, 2**24):
            file.write(bytes(min(2**24, count - start)))


HEADERS = [(2**32 - 1,), (2**32 - 1, 2**32 - 1, 2**32 - 1), (1, 2**16, 2**16), (2_000_000, 1, 1), (70_000, 60, 60)]


@pytest.mark.parametrize("shape", HEADERS)
@pytest.mark.parametrize("end", ["", ".gz"])
def test_an_idx_header_that_announces_too_much_is_refused_before_the_values(shape, end, tmp_path):
    path = tmp_path / f"train{end}"
    path.write_bytes(gzip.compress(idx_header(*shape)) if end else idx_header(*shape))
    with pytest.raises(UserError, match="its header announces shape"):
        read_idx(path)


def test_no_more_of_an_idx_file_is_unpacked_than_its_header_announces(tmp_path, monkeypatch):
    read = []
    unpack = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, n=-1: (read.append(n), unpack(self, n))[1])
    write_packed_zeros(tmp_path / "train.gz", idx_header(10, 28, 28), 2**28)
    with pytest.raises(UserError, match="but more bytes follow"):
        read_idx(tmp_path / "train.gz")
    assert 0 < sum(read) < 10_000


def test_an_idx_file_that_is_no_regular_file_is_not_opened(tmp_path):
    make_fifo(tmp_path / "fifo")
    make_link(tmp_path / "zero", Path("/dev/zero"))
    for name in ("fifo", "zero"):
        with pytest.raises(UserError, match="not a regular file"):
            read_idx(tmp_path / name)


def member(name, size=0, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(f"{PYTHON}/{name}")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse_member(name, size):
    """A member of the old GNU sparse kind: `size` zeros that take no place in the archive."""
    info = tarfile.TarInfo(f"{PYTHON}/{name}")
    info.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386 : 386 + 24] = b"%011o\0%011o\0" % (0, 0)
    block[483:495] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


TARS = {  # name: parts of an archive; a number stands for so many zeros
    "a huge member before the batches": [member("readme", 2**40), 2**30],
    "a huge batch": [member("data_batch_1", 2**33), 2**30],
    "a huge extended header": [member("x", 2**33, tarfile.XHDTYPE), 2**30],
    "a huge long name": [member("x", 2**33, tarfile.GNUTYPE_LONGNAME), 2**30],
    "an extended header of 32 MB": [member("x", 2**25, tarfile.XHDTYPE), 2**25],
    "many members": [member("x") * 20_000],
    "a sparse batch": [sparse_member("data_batch_1", 2**25)],
    "a device": [member("data_batch_1", 0, tarfile.CHRTYPE)],
    "a FIFO": [member("data_batch_1", 0, tarfile.FIFOTYPE)],
    "no archive": [b"GIF89a" * 1000],
    "nothing": [],
}


def write_tar(path, parts):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb", compresslevel=1) as file:
        for part in parts:
            for start in range(0, part, 2**24) if isinstance(part, int) else ():
                file.write(bytes(min(2**24, part - start)))
            if isinstance(part, bytes):
                file.write(part)


@pytest.mark.parametrize("name", [name for name in TARS if 2**30 not in TARS[name]])
def test_a_hostile_archive_is_refused_with_one_message(name, tmp_path):
    write_tar(tmp_path / "root" / "cifar-10-python.tar.gz", TARS[name])
    with pytest.raises(UserError, match=r"cifar-10-python\.tar\.gz is damaged"):
        Cifar10(str(tmp_path / "root"), 32, 3).prepare()


def test_an_archive_is_not_unpacked_beyond_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "MAX_UNPACKED", 2**22)
    write_tar(tmp_path / "root" / "cifar-10-python.tar.gz", [member("readme", 2**40), 2**23])
    with pytest.raises(UserError, match="more than 4,194,304 bytes"):
        Cifar10(str(tmp_path / "root"), 32, 3).prepare()


class Named:
    """Pickles as a call of a function that a batch may name."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def pickle_of(*parts):
    """Write a pickle by its opcodes."""
    return b"\x80\x02" + b"".join(parts) + b"."


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
LABEL_LIST = b"U\x06labels]q\x01K\x07au"
DATA = b"}(U\x04data"
EXPANDING = [0] * 10
for _ in range(8):
    EXPANDING = [EXPANDING] * 10
BATCHES = {
    "lists that double at each step": pickle.dumps({"data": EXPANDING, "labels": [1]}, protocol=2),
    "labels that double at each step": pickle.dumps({"data": PIXELS[0], "labels": EXPANDING}, protocol=2),
    "an array of 10 TB": pickle_of(
        DATA, RECONSTRUCT, b"cnumpy\nndarray\n\x8a\x06\0\0\0\0\0\x0a\x85U\x01b\x87R", LABEL_LIST
    ),
    "a call of ndarray": pickle_of(DATA, b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R", LABEL_LIST),
    "integers whose hashes collide": pickle.dumps({k * (2**61 - 1): 0 for k in range(1, 2000)}, protocol=2),
    "a million steps": pickle_of(b"]", b"K\x01a" * 10**6),
    "many arrays": pickle_of(b"](", (RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R") * 100, b"e"),
    "a text encoded many times": pickle_of(
        b"](X" + struct.pack("<I", 2**24) + b"a" * 2**24 + b"q\x010",
        b"(c_codecs\nencode\nh\x01X\x06\0\0\0latin1\x86R0" * 100 + b"e",
    ),
    "objects": pickle.dumps({"data": np.array([[object]], dtype=object), "labels": [1]}, protocol=2),
    "eleven thousand images": pickle.dumps(
        {"data": np.zeros((11_000, 3072), np.uint8), "labels": [0] * 11_000}, protocol=4
    ),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_hostile_batch_is_refused_with_one_message(name):
    with pytest.raises(UserError, match=r"damaged|refers to"):
        parse_python_batch(BATCHES[name], "data_batch_1")


def test_a_batch_that_is_no_regular_file_or_too_large_is_not_read(tmp_path):
    for kind in ("fifo", "sparse"):
        write_folder(tmp_path / kind / PYTHON, PYTHON)
        path = tmp_path / kind / PYTHON / "data_batch_3"
        path.unlink()
        make_fifo(path) if kind == "fifo" else bombs.sparse_file(path, 2**40)
        with pytest.raises(UserError, match=r"does not contain CIFAR-10|at most 64,000,000 are read"):
            Cifar10(str(tmp_path / kind), 32, 3).prepare()


@pytest.fixture
def faces(tmp_path):
    root = tmp_path / "faces"
    (root / "img_align_celeba").mkdir(parents=True)
    write_tables(root, "txt")
    for i in range(6):
        face(i).save(root / "img_align_celeba" / f"{i + 1:06d}.jpg")
    return root


TABLES = {
    "one long line": b"1" * 10**7,
    "a long row": b"1\nA\n" + b"1 " * 10**6,
    "binary": bytes(range(256)) * 10,
    "a path": b"1\nEyeglasses Male Smiling\n../000001.jpg 1 1 1\n",
    "an absolute path": b"1\nEyeglasses Male Smiling\n/etc/000001.jpg 1 1 1\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("table", ["list_attr_celeba.txt", "list_eval_partition.txt"])
def test_a_hostile_table_is_refused_with_one_message(faces, name, table):
    (faces / table).write_bytes(TABLES[name])
    with pytest.raises(UserError, match=rf"{table} is (incomplete|damaged)"):
        Celeba(str(faces), 32, 3, 108, ["Smiling"], "raise").prepare()


def test_a_table_that_is_too_large_or_has_too_many_rows_is_refused(faces, monkeypatch):
    bombs.sparse_file(faces / "list_attr_celeba.txt", 2**40)
    with pytest.raises(UserError, match="at most 67,108,864 are read"):
        Celeba(str(faces), 32, 3, 108, ["Smiling"], "raise").prepare()
    write_tables(faces, "txt")
    monkeypatch.setattr(celeba, "MAX_ROWS", 5)
    with pytest.raises(UserError, match="incomplete in the line of 000006"):
        Celeba(str(faces), 32, 3, 108, ["Smiling"], "raise").prepare()


def test_attributes_that_would_make_a_billion_classes_are_refused():
    with pytest.raises(UserError, match=r"2\^40 classes"):
        Celeba("root", 32, 3, 108, [f"a{k}" for k in range(40)], "raise")


@pytest.fixture
def prepared(tmp_path):
    """A folder of pictures in two classes, whose cache another wrote."""
    for name in ("a/1", "a/2", "b/1", "b/2"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 9).save(tmp_path / "root" / f"{name}.png")
    source = Folder(str(tmp_path / "root"), 8, 1, "crop", "raise", 0)
    source.prepare()
    return source


def change_manifest(folder, **entries):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **entries}))


def npy(shape, descr="|u1", data=b""):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def array_bytes(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


ARRAYS = {
    "more than the file holds": npy("(1000000000, 1, 8, 8)"),
    "a shape of another size": array_bytes(np.zeros((4, 1, 9, 9), np.uint8)),
    "objects": array_bytes(np.array([{}] * 4, dtype=object)),
    "texts": array_bytes(np.array(["a"] * 4)),
    "a huge header": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{" * 100,
    "a nested header": npy("(" * 5000),
    "nothing": b"",
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("array", ["train-x", "train-y"])
def test_a_cached_array_that_is_not_what_the_manifest_says_is_refused(prepared, name, array):
    (prepared.cache_folder / f"{array}.npy").write_bytes(ARRAYS[name])
    with pytest.raises(UserError, match=r"The prepared data in .* are damaged"):
        prepared.load()


MANIFESTS = {
    "an array elsewhere": {"shapes": {"../../secret-x": [4, 1, 8, 8]}},
    "a list of shapes": {"shapes": [1, 2]},
    "no shapes": {"shapes": None},
    "a name without a split": {"shapes": {"x": [4, 1, 8, 8]}},
    "another shape": {"shapes": {"train-x": [10**12, 1, 8, 8]}},
    "classes that the labels exceed": {"classes": ["a"]},
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_is_not_true_is_refused(prepared, name):
    change_manifest(prepared.cache_folder, **MANIFESTS[name])
    with pytest.raises(UserError, match=r"The prepared data in .* are damaged"):
        prepared.load()


@pytest.mark.parametrize("labels", [[0, 0, 1, 2], [0, -1, 1, 1], [0, 1]])
def test_cached_labels_without_a_class_or_an_image_are_refused(prepared, labels):
    np.save(prepared.cache_folder / "train-y.npy", np.array(labels))
    shapes = {"train-x": [4, 1, 8, 8], "train-y": [len(labels)]}
    change_manifest(prepared.cache_folder, shapes=shapes)
    with pytest.raises(UserError, match=r"The prepared data in .* are damaged"):
        prepared.load()


@pytest.mark.parametrize("name", ["manifest.json", "train-x.npy"])
def test_a_cached_file_that_is_a_fifo_or_a_device_is_not_opened(prepared, name):
    for place in (lambda path: make_fifo(path), lambda path: make_link(path, Path("/dev/zero"))):
        (prepared.cache_folder / name).unlink()
        place(prepared.cache_folder / name)
        with pytest.raises(UserError):
            prepared.load()


@pytest.mark.slow
@pytest.mark.parametrize("data", ["mnist", "cifar10", "celeba"])
def test_the_real_command_refuses_a_bomb_within_bounds(data, tmp_path, faces):
    """Memory and time of the whole command, compared with the same command on harmless files."""
    roots = {name: tmp_path / name for name in ("good", "bad")}
    if data == "celeba":
        roots["good"] = faces
        (tmp_path / "bad" / "img_align_celeba").mkdir(parents=True)
        write_tables(tmp_path / "bad", "txt")
        (tmp_path / "bad" / "list_attr_celeba.txt").write_bytes(b"1 " * 2**24)
    elif data == "mnist":
        for root in roots.values():
            write_idx(root, packed=True)
        write_packed_zeros(tmp_path / "bad" / f"{PARTS[0]}.gz", idx_header(250_000, 28, 28), 2**31)
    else:
        write_folder(tmp_path / "good" / PYTHON, PYTHON)
        write_tar(tmp_path / "bad" / "cifar-10-python.tar.gz", TARS["a huge member before the batches"])
    args = f"train data={data} data.size=32 network.width=2 batch_size=4 kimg=.004 metrics=none logger=none".split()
    good, bad = (
        run_measured(*args, f"data.root={root}", f"folder={name}-run", cwd=tmp_path) for name, root in roots.items()
    )
    assert good.code == 0, good.err
    assert bad.code == 2
    assert bad.err.count("ganrun: ") == 1
    assert "Traceback" not in bad.err
    assert bad.peak < LIMIT
    assert bad.seconds < good.seconds + PATIENCE


def test_harmless_files_are_read_as_before(tmp_path, faces):
    write_idx(tmp_path / "mnist", packed=True)
    source = Mnist(str(tmp_path / "mnist"), 32, 3)
    source.prepare()
    assert source.load().splits["train"]["x"].shape == (10, 3, 32, 32)
    assert idx.MAX_BYTES > 60_000 * 28 * 28
    source = Celeba(str(faces), 32, 3, 108, ["Smiling", "Male"], "raise")
    source.prepare()
    assert source.load().splits["train"]["y"].tolist() == [3, 2, 1, 0]
    content = files(PYTHON)["data_batch_1"]
    assert parse_python_batch(content, "data_batch_1")[1].tolist() == LABELS[0]
