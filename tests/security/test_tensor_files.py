"""Checkpoints, weights and statistics that ask for more than they hold are refused before they fill the memory."""

import hashlib
import io
import json
import pickle
import struct
import zipfile

import pytest
import torch
from helpers import bombs
from helpers.bounded import LIMIT, PATIENCE, run_measured
from helpers.hostile import make_fifo
from safetensors.torch import save

from ganrun.cli.main import main
from ganrun.data import tensor_files
from ganrun.data.tensor_files import TensorFileError, check_archive, check_extent
from ganrun.errors import UserError
from ganrun.metrics.extractors.weights import load_tensors
from ganrun.metrics.reference_stats import load_statistics
from ganrun.training.checkpoint import read_verified
from ganrun.training.plain_types import from_plain, to_plain

ARGS = "train model=gan data=ring batch_size=8 kimg=.008 metrics=none logger=none folder=run"


def integer(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def integers(*values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def tensor(numel, shape, stride):
    """The opcodes of a float tensor on the storage 0, which is said to have `numel` numbers."""
    kind = text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + integer(numel)
    rest = integer(0) + integers(*shape) + integers(*stride) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n((" + kind + b"tQ" + rest + b"tR"


def shared_lists(depth):
    """A list of ten times a list of ten times ... 0."""
    return b"]K\0a" + b"".join(b"q%c0](" % i + b"h%c" % i * 10 + b"e" for i in range(1, depth))


PICKLES = {  # what a data.pkl of a few bytes asks for
    "a storage of 4 TB": tensor(10**12, (4,), (1,)),
    "a tensor of 4 TB on one number": tensor(4, (10**6, 10**6), (0, 0)),
    "a tensor beyond its storage": tensor(4, (10**10,), (1,)),
    "a thousand tensors on one storage": b"](" + tensor(4, (4,), (1,)) * 1000 + b"e",
    "a bytearray of 8 GB": b"cbuiltins\nbytearray\n" + integer(2**33) + b"\x85R",
    "a bytearray of Python 2": b"c__builtin__\nbytearray\n" + integer(2**33) + b"\x85R",
    "a text encoded many times": b"](c_codecs\nencode\nq\x01"
    + text(b"a" * 2**22)
    + text(b"latin1")
    + b"\x86q\x02R"
    + b"h\x01h\x02R" * 200
    + b"e",
    "lists that are ten times longer at each step": shared_lists(12),
    "a list in a list in a list": b"]" * 5000 + b"a" * 4999,
    "a list that contains itself": b"]q\x01h\x01a",
    "integers whose hashes collide": b"}("
    + b"".join(b"\x8a\x0c" + (k * (2**61 - 1)).to_bytes(12, "little") + b"K\0" for k in range(1, 5000))
    + b"u",
    "a million steps": b"](" + b"]" * 1_100_000 + b"e",
}


def archive_of(steps, **options):
    """An archive of torch.save with this data.pkl, and one storage of four numbers."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + steps + b".")
        for name, content in {"version": b"3\n", "byteorder": b"little", "data/0": bytes(16)}.items():
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def many_entries(count):
    """An archive whose list of entries names the same entry many times."""
    good = archive_of(b"N")
    end = good.rindex(b"PK\x05\x06")
    (start,) = struct.unpack("<I", good[end + 16 : end + 20])
    entry = good[start : good.index(b"PK\x01\x02", start + 4)]
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count % 2**16, count % 2**16, len(entry) * count, start, 0)
    return good[:start] + entry * count + tail


def overlapping():
    """An archive whose entries are all at the same place."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02N." + bytes(5000))
        first = archive.infolist()[0]
        for k in range(50):
            info = zipfile.ZipInfo(f"archive/data/{k}")
            info.file_size = info.compress_size = first.file_size
            info.CRC, info.header_offset = first.CRC, 0
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
            archive._didModify = True
    return buffer.getvalue()


ARCHIVES = {
    "compressed": archive_of(text(bytes(10**7)), compression=zipfile.ZIP_DEFLATED),
    "compressed by LZMA": archive_of(text(bytes(10**7)), compression=zipfile.ZIP_LZMA),
    "a hundred thousand entries": many_entries(150_000),
    "a list of entries of 20 MB": many_entries(320_000),
    "overlapping entries": overlapping(),
    "an old pickle": pickle.dumps([0] * 10),
    "nothing": b"",
}
HOSTILE = {**{name: archive_of(steps) for name, steps in PICKLES.items()}, **ARCHIVES}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_checkpoint_is_refused_with_one_message(name, tmp_path):
    (tmp_path / "a.ckpt").write_bytes(HOSTILE[name])
    with pytest.raises(UserError, match=r"a\.ckpt (cannot be read as|is not) a .*checkpoint") as raised:
        read_verified(tmp_path / "a.ckpt")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:.*TypedStorage")
def test_a_hostile_weight_file_is_refused_with_one_message(name, tmp_path):
    (tmp_path / "a.pth").write_bytes(HOSTILE[name])
    with pytest.raises(UserError, match=r"a\.pth cannot be read as a weight file"):
        load_tensors(tmp_path / "a.pth")


def test_a_checkpoint_that_is_a_fifo_or_mostly_a_hole_is_not_read(tmp_path):
    make_fifo(tmp_path / "fifo.ckpt")
    bombs.sparse_file(tmp_path / "hole.ckpt", 2**40, HOSTILE["compressed"])
    for name, reason in {"fifo": "is a FIFO", "hole": "most of it is a hole"}.items():
        with pytest.raises(UserError, match=reason):
            read_verified(tmp_path / f"{name}.ckpt")


def safetensors_with(header):
    return struct.pack("<Q", len(header)) + header


SAFETENSORS = {
    "a header of 90 MB": safetensors_with(b"{" + b" " * 90_000_000 + b"}"),
    "a header longer than the file": struct.pack("<Q", 2**60) + b"{}",
    "a tensor of 4 TB": safetensors_with(
        b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}' + bytes(4)
    ),
    "offsets beyond the file": safetensors_with(b'{"a":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}'),
    "a nested header": safetensors_with(b'{"a":' + b"[" * 10**6),
    "nothing": b"",
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_a_hostile_safetensors_file_is_refused(name, tmp_path, caplog):
    path = tmp_path / "a.safetensors"
    path.write_bytes(SAFETENSORS[name])
    with pytest.raises(UserError, match="cannot be read as a weight file"):
        load_tensors(path)
    assert load_statistics(path, {}, 4) is None
    assert "cached statistics are unusable" in caplog.text


def test_a_weight_or_statistics_file_that_is_too_large_is_not_read(tmp_path):
    for name in ("a.safetensors", "a.pth"):
        bombs.sparse_file(tmp_path / name, 2**40, save({"a": torch.zeros(4)}))
        with pytest.raises(UserError, match="cannot be read as a weight file"):
            load_tensors(tmp_path / name)
    assert load_statistics(tmp_path / "a.safetensors", {}, 4) is None


def test_everything_that_torch_saves_of_plain_types_passes(tmp_path):
    content = {
        "weights": {f"layer{k}": torch.randn(8, 8)[:, ::2] for k in range(300)},
        "kinds": [torch.zeros(0), torch.zeros(3, dtype=torch.bfloat16), torch.tensor(1), torch.zeros(2).expand(5, 2)],
        "bytes": [b"ab" * 1000, bytearray(b"cd")],
        "random": (3, tuple(range(2**31, 2**31 + 624)), None),
        "seed": 2**63,
    }
    path = tmp_path / "a.ckpt"
    torch.save(to_plain(content), path)
    with path.open("rb") as file:
        check_archive(file)
    loaded = torch.load(path, weights_only=True)
    check_extent(loaded, path.stat().st_size)
    assert from_plain(loaded)["bytes"] == content["bytes"]
    assert type(from_plain(loaded)["bytes"][1]) is bytearray


def test_values_are_counted_as_often_as_they_are_referred_to(monkeypatch):
    monkeypatch.setattr(tensor_files, "MAX_NODES", 100)
    check_extent([[0] * 10] * 8, 10**6)
    with pytest.raises(TensorFileError, match="more than 100 values"):
        check_extent([[0] * 10] * 12, 10**6)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(ARGS.split()) == 0
    return tmp_path / "run"


def replace_checkpoint(run, content):
    """Replace the last checkpoint, and its digest in the manifest, as an attacker would."""
    path = run / "checkpoints" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sha256"][manifest["last"]] = hashlib.sha256(content).hexdigest()
    (run / "checkpoints" / manifest["last"]).write_bytes(content)
    path.write_text(json.dumps(manifest))


def changed(run, change):
    """The bytes of the run's checkpoint after `change(content)`."""
    (path,) = (run / "checkpoints").glob("*.ckpt")
    content = torch.load(path, weights_only=True)
    change(content)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def nested(depth):
    return {"a": nested(depth - 1)} if depth else 1


METADATA = {
    "a schema that is no number": lambda content: content["ganrun"].update(schema="2"),
    "no versions": lambda content: content["ganrun"].update(schema=99, versions=[]),
    "choices that are no texts": lambda content: content["ganrun"].update(choices={"model": 1}),
    "a config of lists that double": lambda content: content["ganrun"].update(config={"a": doubled(18)}),
    "a plan of a million values": lambda content: content["ganrun"].update(plan={"a": [0] * 10**6}),
    "a config with a tensor": lambda content: content["ganrun"].update(config={"a": torch.zeros(2)}),
    "a nested config": lambda content: content["ganrun"].update(config=nested(150)),
    "no images": lambda content: content.update(seen={}),
    "images that are no number": lambda content: content.update(seen={"images": "many"}),
    "weights that are no dict": lambda content: content.update(state_dict=[1]),
    "weights that are no tensors": lambda content: content.update(state_dict=dict.fromkeys(content["state_dict"], 1)),
}


def doubled(depth):
    value = [0]
    for _ in range(depth):
        value = [value, value]
    return value


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("verb", ["sample", "resume"])
def test_metadata_that_ganrun_does_not_write_ends_in_one_message(run, name, verb, capsys):
    replace_checkpoint(run, changed(run, METADATA[name]))
    (run / "status.json").write_text(json.dumps({**json.loads((run / "status.json").read_text()), "state": "running"}))
    assert main([verb, "run"]) in (1, 2)
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert message.count("ganrun: ") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a bytearray of 8 GB", "a list of entries of 20 MB", "a million steps", "compressed"])
def test_the_real_command_refuses_a_checkpoint_bomb_within_bounds(name, run):
    harmless = run_measured("sample", "run", cwd=run.parent)
    replace_checkpoint(run, HOSTILE[name])
    hostile = run_measured("sample", "run", cwd=run.parent)
    assert (harmless.code, hostile.code) == (0, 2)
    assert hostile.err.count("ganrun: ") == 1
    assert hostile.peak < LIMIT
    assert hostile.seconds < harmless.seconds + PATIENCE
