"""Image files that would start programs, fill the memory or never end are refused from their header, with a reason."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from helpers import bombs
from helpers.bounded import LIMIT, PATIENCE, run_measured
from helpers.hostile import make_fifo, make_link
from PIL import Image

from ganrun.data import decode as module
from ganrun.data.decode import BadImageError, decode
from ganrun.data.image_files import find_images
from ganrun.data.memory import MemoryBudget

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
TEXT = bombs.zeros(100 * bombs.MB)
FILES = {  # name: its content, and the reason for which it is refused
    "eps.png": (bombs.EPS, "not an image, or none of BMP, GIF, JPEG"),
    "eps.jpg": (b"\xc5\xd0\xd3\xc6" + bytes(26) + bombs.EPS, "not an image, or none of"),
    "pdf.png": (b"%PDF-1.4\n%%EOF\n", "not an image, or none of"),
    "tall.png": (bombs.png_bytes(1, 170_000_000, bits=1), "1 x 170000000 pixels; a side has at most 65,535"),
    "wide.png": (bombs.png_bytes(170_000_000, 1), "170000000 x 1 pixels; a side has at most 65,535"),
    "square.png": (bombs.png_bytes(13_000, 13_000, colour=2, data=b""), "decoding takes 1,289 MiB, and at most 400"),
    "alpha.png": (bombs.png_bytes(9_000, 9_000, colour=6, data=b""), "decoding takes 618 MiB"),
    "deep.png": (bombs.png_bytes(60_000, 2_000, bits=16, data=b""), "decoding takes (458|916) MiB"),  # 916: Pillow 10
    "gigantic.png": (bombs.png_bytes(60_000, 60_000, data=b""), "exceeds limit|decoding takes"),
    "screen.gif": (bombs.gif_bytes(65_535, 65_535), "exceeds limit|decoding takes"),
    "canvas.webp": (bombs.webp_bytes(16_384, 16_384), "not an image|webp|WebP|decod"),
    "strips.tif": (bombs.tiff_of(65_000, 2_000), "decoding takes 1,116 MiB"),
    "tiles.tif": (bombs.tiff_of(64, 64, tile=40_000), "its tiles have more than 16,777,216 pixels"),
    "text.png": (
        bombs.png_bytes(4, 4, extra=bombs.png_chunk(b"zTXt", b"Comment\0\0" + TEXT)),
        "(?i)too large",
    ),
    "international.png": (
        bombs.png_bytes(4, 4, extra=bombs.png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + TEXT)),
        "(?i)too large",
    ),
    "python.ppm": (b"P6 4000 4000 254\n" + bytes(3), "in this encoding at most 4,194,304 are decoded"),
    "plain.pgm": (b"P2 4000 4000 255\n" + b"1 " * 9, "in this encoding at most 4,194,304 are decoded"),
    "cut.png": (bombs.png_bytes(400, 400)[:60], "truncated|not an image|cut|broken|Truncated"),
    "empty.png": (b"", "not an image"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_image_is_refused_with_the_reason(name, tmp_path):
    content, reasons = FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadImageError, match=reasons) as raised:
        decode(tmp_path / name, 8, 3)
    assert str(raised.value).startswith(str(tmp_path / name))


def test_a_jpeg_of_many_scans_is_refused(tmp_path):
    bombs.jpeg_with_scans(tmp_path / "few.jpg", 20)
    assert decode(tmp_path / "few.jpg", 8, 3).shape == (3, 8, 8)
    bombs.jpeg_with_scans(tmp_path / "many.jpg", 2000)
    with pytest.raises(BadImageError, match="more than 100 scans"):
        decode(tmp_path / "many.jpg", 8, 3)


def no_regular_files(folder: Path) -> dict[str, str]:
    """Put things that are no regular files into a folder: {name: the reason for which it is refused}."""
    make_fifo(folder / "fifo.png")
    make_link(folder / "to-fifo.png", folder / "fifo.png")
    make_link(folder / "zero.png", Path("/dev/zero"))
    make_link(folder / "tty.png", Path("/dev/tty"))
    make_link(folder / "memory.png", Path("/proc/self/mem"))
    make_link(folder / "gone.png", folder / "nowhere.png")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)
        server.bind("socket.png")
        os.chdir(here)
    bombs.sparse_file(folder / "sparse.png", 2**40, bombs.png_bytes(8, 8)[:40])
    device = "is a device, not a regular file"
    return {
        "fifo.png": "is a FIFO, not a regular file",
        "to-fifo.png": "is a FIFO, not a regular file",
        "zero.png": device,
        "tty.png": device,
        "memory.png": "not an image|error",
        "gone.png": "No such file",
        "socket.png": "is a socket, not a regular file",
        "sparse.png": "at most 536,870,912 are read",
    }


def test_only_regular_files_and_links_to_them_are_opened(tmp_path):
    reasons = no_regular_files(tmp_path)
    for name, reason in reasons.items():
        with pytest.raises(BadImageError, match=reason):
            decode(tmp_path / name, 8, 3)
    Image.new("RGB", (8, 8), (9, 8, 7)).save(tmp_path / "picture.png")
    make_link(tmp_path / "link.png", tmp_path / "picture.png")
    assert decode(tmp_path / "link.png", 8, 3)[:, 0, 0].tolist() == [9, 8, 7]


def test_no_image_is_decoded_before_its_size_is_known(tmp_path, monkeypatch):
    """Nor is Ghostscript started: Pillow's EPS reader is not even asked."""
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    for name in ("tall.png", "square.png", "screen.gif", "tiles.tif", "eps.png"):
        (tmp_path / name).write_bytes(FILES[name][0])
        with pytest.raises(BadImageError):
            decode(tmp_path / name, 8, 3)


@pytest.mark.slow
def test_a_folder_of_hostile_images_is_skipped_one_by_one(tmp_path):
    """The real command: each file has its reason, and memory and time stay bounded."""
    root = tmp_path / "pictures"
    root.mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(root / f"good-{i}.png")
    args = (
        "train data=folder data.size=32 network.width=2 batch_size=4 kimg=.004 metrics=none logger=none "
        f"data.bad_images=skip data.root={root}"
    ).split()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
        harmless = run_measured(*args, "folder=a", cwd=tmp_path)
        for name, (content, _) in FILES.items():
            (root / name).write_bytes(content)
        reasons = no_regular_files(root)
        (root / "large-rgba.png").write_bytes(bombs.png_bytes(7_000, 7_000, colour=6))
        hostile = run_measured(*args, "folder=b", cwd=tmp_path)
    assert harmless.code == hostile.code == 0, hostile.err
    count = len(FILES) + len(reasons) - 1  # the dead link is no image
    assert f"Skipped images: {count}" in hostile.err
    assert f"left out: {count} that cannot be decoded, 1 dead link" in hostile.err
    assert hostile.err.count("Skipped ") == 11
    assert "Warning" not in hostile.err
    assert hostile.peak < LIMIT
    assert hostile.seconds < harmless.seconds + PATIENCE


def test_images_of_all_kinds_are_decoded_as_before_in_bands(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    deep = Image.fromarray(rng.integers(0, 2**16, (37, 23), dtype=np.uint16))
    clear = Image.fromarray(rng.integers(0, 256, (37, 23, 4), dtype=np.uint8))
    indexed = clear.convert("RGB").quantize(16)
    deep.save(tmp_path / "deep.png")
    clear.save(tmp_path / "clear.png")
    clear.convert("LA").save(tmp_path / "grey.png")
    indexed.save(tmp_path / "indexed.png", transparency=3)
    paths = sorted(tmp_path.iterdir())
    whole = [decode(path, 16, 3) for path in paths]
    monkeypatch.setattr(module, "BAND", 50)
    assert all(np.array_equal(decode(path, 16, 3), image) for path, image in zip(paths, whole, strict=True))


def test_links_that_lead_back_or_double_at_each_step_do_not_trap_the_search(tmp_path):
    folder = tmp_path / "0"
    for depth in range(30):
        (tmp_path / f"{depth}").mkdir()
        for name in ("a", "b"):
            make_link(tmp_path / f"{depth}" / name, tmp_path / f"{depth + 1}")
    (tmp_path / "30").mkdir()
    Image.new("L", (1, 1)).save(tmp_path / "30" / "picture.png")
    make_link(tmp_path / "30" / "back", tmp_path / "30")
    make_link(tmp_path / "30" / "up", tmp_path)
    assert len(find_images(folder)) == 1
    assert len(find_images(tmp_path / "30")) == 1


def test_a_folder_of_links_to_pictures_elsewhere_is_read_once(tmp_path):
    (tmp_path / "store" / "cats").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    Image.new("L", (1, 1)).save(tmp_path / "store" / "cats" / "1.png")
    make_link(tmp_path / "mine" / "cats", tmp_path / "store" / "cats")
    make_link(tmp_path / "mine" / "felines", tmp_path / "store" / "cats")
    assert [str(path.relative_to(tmp_path)) for path in find_images(tmp_path / "mine")] == ["mine/cats/1.png"]


def test_a_budget_is_never_exceeded():
    from concurrent.futures import ThreadPoolExecutor
    from threading import Lock

    budget, lock, used, peaks = MemoryBudget(10), Lock(), [0], []

    def work(count):
        with budget.reserved(count):
            with lock:
                used[0] += count
                peaks.append(used[0])
            with lock:
                used[0] -= count

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [1, 10, 3, 7, 5, 2, 9, 4] * 50))
    assert max(peaks) <= 10
    assert budget.left == 10
