"""A malicious CIFAR-10 archive does no harm: ganrun never unpacks an archive to disk."""

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
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return eval, ("open('pwned', 'w').close()",)


def batch():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
    return pickle.dumps({b"data": pixels, b"labels": [0, 1, 2]}, protocol=2)


def write_archive(folder, entries):
    """Write a CIFAR-10 archive with these entries: (TarInfo or name, bytes)."""
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
    "a parent folder": [("../../data_batch_1", batch()), ("../pwned", b"")],
    "an absolute path": [("/tmp/ganrun-pwned/data_batch_1", batch())],
    "a link": [(link("cifar-10-batches-py/data_batch_1", "/etc/passwd", tarfile.SYMTYPE), b"")],
    "a hard link": [(link("cifar-10-batches-py/data_batch_1", "../../etc/passwd", tarfile.LNKTYPE), b"")],
    "a device": [(link("cifar-10-batches-py/data_batch_1", "", tarfile.CHRTYPE), b"")],
    "a pickle": [("cifar-10-batches-py/data_batch_1", pickle.dumps({b"data": Attack(), b"labels": []}))],
}
CIFAR = "train model=dcgan data=cifar10 data.root=root network.width=2 batch_size=4 kimg=0.004 metrics=none logger=none"


@pytest.mark.parametrize("trick", TRICKS)
def test_an_archive_writes_nothing_outside_the_cache(cli, monkeypatch, tmp_path, trick):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    write_archive(
        cli.folder / "root", [*TRICKS[trick], *((f"cifar-10-batches-py/{name}", batch()) for name in NAMES[1:])]
    )
    is_harmless = trick in ("a parent folder", "an absolute path")  # only the last part of a name is used
    assert main([*CIFAR.split(), "dry_run=true"]) == 0
    assert main([*CIFAR.split(), "folder=run"]) == (0 if is_harmless else 2)
    created = {path.name for path in cli.folder.iterdir()} | {path.name for path in tmp_path.iterdir()}
    assert created <= {"root", "run", "work", "cache"}
    assert not os.path.exists("/tmp/ganrun-pwned")
    assert [path.name for path in (cli.folder / "root").iterdir()] == ["cifar-10-python.tar.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_decompression_bomb_does_not_fill_the_memory(cli, monkeypatch, tmp_path, capsys, kind):
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
