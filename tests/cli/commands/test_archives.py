"""What a hostile archive of CIFAR-10 cannot do: ganrun unpacks none to the disk."""

import gzip
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from ganrun.cli.main import main

NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


class Attack:
    """What runs code wherever it is unpickled."""

    def __reduce__(self):
        return eval, ("open('pwned', 'w').close()",)


def batch():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
    return pickle.dumps({b"data": pixels, b"labels": [0, 1, 2]}, protocol=2)


def archive(folder, entries):
    """A CIFAR-10 archive of these (TarInfo or name, bytes)."""
    folder.mkdir()
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as file:
        for entry, data in entries:
            info = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return folder


def link(name, to, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


TRICKS = {
    "a way up": [("../../data_batch_1", batch()), ("../pwned", b"")],
    "an absolute name": [("/tmp/ganrun-pwned/data_batch_1", batch())],
    "a link": [(link("cifar-10-batches-py/data_batch_1", "/etc/passwd", tarfile.SYMTYPE), b"")],
    "a hard link": [(link("cifar-10-batches-py/data_batch_1", "../../etc/passwd", tarfile.LNKTYPE), b"")],
    "a device": [(link("cifar-10-batches-py/data_batch_1", "", tarfile.CHRTYPE), b"")],
    "a pickle": [("cifar-10-batches-py/data_batch_1", pickle.dumps({b"data": Attack(), b"labels": []}))],
}
CIFAR = "train model=dcgan data=cifar10 data.root=root network.width=2 batch_size=4 kimg=0.004 metrics=none logger=none"


@pytest.mark.parametrize("trick", TRICKS)
def test_an_archive_reaches_nothing_outside(cli, monkeypatch, tmp_path, trick):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    archive(cli.folder / "root", [*TRICKS[trick], *((f"cifar-10-batches-py/{name}", batch()) for name in NAMES[1:])])
    is_harmless = trick in ("a way up", "an absolute name")  # the last part of a name is all that is read of it
    assert main([*CIFAR.split(), "dry_run=true"]) == 0
    assert main([*CIFAR.split(), "folder=run"]) == (0 if is_harmless else 2)
    found = {path.name for path in cli.folder.iterdir()} | {path.name for path in tmp_path.iterdir()}
    assert found <= {"root", "run", "work", "cache"}
    assert not os.path.exists("/tmp/ganrun-pwned")
    assert [path.name for path in (cli.folder / "root").iterdir()] == ["cifar-10-python.tar.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_bomb_of_an_archive_fills_no_memory(cli, monkeypatch, tmp_path, capsys, kind):
    resource = pytest.importorskip("resource")
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    info = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
    info.type, info.size = kind, 2**31
    (cli.folder / "root").mkdir()
    with gzip.open(cli.folder / "root" / "cifar-10-python.tar.gz", "wb", compresslevel=1) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(2**31 // 2**24):
            file.write(bytes(2**24))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert main([*CIFAR.split(), "folder=run"]) == 2
    assert "cifar-10-python.tar.gz is damaged" in capsys.readouterr().err
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB: a quarter of a GiB
