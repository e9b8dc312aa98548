"""Folders of images as users have them: stray files, other formats, splits, odd names, by the real commands."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.picture_sets import write_pictures
from helpers.runs import files
from omegaconf import OmegaConf
from PIL import Image, features

SMALL = ["network.width=2", "batch_size=4", "kimg=0.016", "metrics=none", "logger=none"]
IMAGES = ["data=folder", "data.size=8", "data.channels=3", *SMALL]
CYCLEGAN = ["model=cyclegan", "data=unpaired_digits", "data.size=32", "network.blocks=1", "kimg=0.004", "batch_size=4"]
SUPPORTED = features.get_supported()
FORMATS = {"avif": "avif" in SUPPORTED, "jp2": "jpg_2000" in SUPPORTED, "ico": True}


def write_other_formats(folder):
    """Write an image of each format that Pillow can write here; return their count."""
    names = [suffix for suffix, can_write in FORMATS.items() if can_write]
    for i, suffix in enumerate(names):
        Image.new("RGB", (32, 32), (60 * i, 90, 9)).save(folder / f"other.{suffix}")
        with Image.open(folder / f"other.{suffix}") as image:
            image.load()
    return len(names)


def test_images_in_other_formats_are_left_out_and_named(cli, capsys):
    count = write_other_formats(write_pictures(Path("images"), 8, size=(28, 28)))
    assert cli.run("train", "model=dcgan", *IMAGES, "data.root=images", "folder=run") == 0
    line = re.search("8 images used; left out: (.*?);", capsys.readouterr().err)[1]
    words = f"{count} images in formats that are not read" if count > 1 else "1 image in a format that is not read"
    assert line.startswith(words)
    assert "1 .ico" in line
    assert line.endswith(": convert them to .png)")
    assert cli.run("eval", "--folder", "images", "--against", "images", "metrics=lenet", "samples=8") == 0
    assert capsys.readouterr().err.count(words) >= 1
    assert cli.run("train", *CYCLEGAN, "metrics=none", "logger=none", "folder=cyclegan") == 0
    capsys.readouterr()
    assert cli.run("translate", "cyclegan", "input=images", "out=out") == 0
    assert words in capsys.readouterr().out


def test_a_folder_that_holds_nothing_but_other_formats_is_refused_with_the_reason(cli, capsys):
    Path("images").mkdir()
    write_other_formats(Path("images"))
    for command in (["train", "model=dcgan", *IMAGES, "data.root=images"], ["eval", "--folder", "images"]):
        more = ["--against", "images"] if command[0] == "eval" else []
        assert cli.run(*command, *more) == 2
        message = capsys.readouterr().err
        assert "images contains no image (" in message
        assert ": convert them to .png)" in message


def test_an_image_of_another_format_under_a_known_suffix_is_refused_and_can_be_skipped(cli, capsys):
    write_pictures(Path("images"), 8, size=(28, 28))
    Image.new("RGB", (32, 32)).save("images/icon.png", format="ICO")
    command = ["train", "model=dcgan", *IMAGES, "data.root=images"]
    assert cli.run(*command, "folder=run") == 2
    assert "icon.png: not an image, or none of BMP, GIF, JPEG" in capsys.readouterr().err
    assert cli.run(*command, "data.bad_images=skip", "folder=run") == 0
    assert "8 images used; left out: 1 that cannot be decoded" in capsys.readouterr().err


def test_translate_skips_stray_files_with_a_count(cli, capsys):
    folder = write_pictures(Path("photos"), 3, size=(32, 32))
    write_pictures(folder / "holiday.png", 2, size=(32, 32), seed=1)  # a sub-folder named like a picture
    for name in ("._00000.png", "Thumbs.db", ".DS_Store", "notes.txt", "README"):
        (folder / name).write_text("no picture")
    (folder / "gone.png").symlink_to("/nowhere/at/all")
    (folder / "up").symlink_to(folder.absolute())
    assert cli.run("train", *CYCLEGAN, "metrics=none", "logger=none", "folder=cyclegan") == 0
    capsys.readouterr()
    assert cli.run("translate", "cyclegan", "input=photos", "out=out") == 0
    shown = capsys.readouterr().out
    assert "5 images      out/pictures" in shown
    left_out = re.search("left out      (.*)", shown)[1]
    for part in ("1 dead link", "2 hidden", "1 link to a folder that is read anyway", "3 other files (1 .db, 1 .txt"):
        assert part in left_out
    names = {f"0000{i}.png" for i in range(3)} | {f"holiday.png/0000{i}.png" for i in range(2)}
    assert files(cli.folder / "out" / "pictures") == names


def test_train_takes_file_names_that_are_not_utf_8(cli, capsys):
    for i, name in enumerate([b"caf\xe9", b"\xff\xfe", b"plain"]):
        write_pictures(Path("images", os.fsdecode(name)), 3, size=(8, 8), seed=i)
    for path in sorted(Path("images").glob("*/00000.png")):
        os.rename(os.fsencode(path), os.fsencode(path.parent / "bild-") + b"\xe4.png")
    args = ["model=cgan", *IMAGES, "data.root=images"]
    assert cli.run("train", *args, "folder=run") == 0
    shown = capsys.readouterr().err
    assert "9 images used" in shown
    assert "caf\\udce9 (3)" in shown
    assert cli.run("resume", "run", "kimg=0.02") == 0
    assert cli.run("sample", "run", "n=3", "out=grid") == 0


def test_train_and_test_below_the_root_are_splits_and_their_folders_the_classes(cli, capsys):
    for i, part in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        write_pictures(Path("images", part), 4 if i < 2 else 2, size=(28, 28), seed=i)
    args = ["model=cgan", *IMAGES, "data.root=images", "data.size=28"]
    assert cli.run("train", *args, "folder=run") == 0
    shown = capsys.readouterr().err
    assert all(part in shown for part in ("12 images used (", "train 8", "test 4"))
    assert "classes: 0 cat (4), 1 dog (4)" in shown
    assert OmegaConf.load("run/config.yaml").data.classes == 2
    Path("images/stray").mkdir()
    write_pictures(Path("images/stray/more"), 2, size=(28, 28))
    assert cli.run("train", *args, "folder=other") == 2
    assert "Expected: train/ and test/ (or val/) at the top of data.root" in capsys.readouterr().err


@pytest.fixture
def animals(cli):
    for i, name in enumerate(("cat", "dog", "sea lion")):
        write_pictures(Path("animals", name), 4, size=(8, 8), seed=i)
    assert cli.run("train", "model=cgan", *IMAGES, "data.root=animals", "folder=run") == 0


def samples(path):
    with np.load(path / "samples.npz") as content:
        return dict(content)


@pytest.mark.parametrize(
    ("names", "numbers"),
    [("[cat,dog]", "[0,1]"), ("dog", "1"), ("[sea lion,0]", "[2,0]"), ('["dog",cat]', "[1,0]")],
)
def test_classes_by_name_are_those_of_their_numbers(cli, animals, names, numbers, capsys):
    assert cli.run("sample", "run", "n=6", "as=npz", f"classes={names}", "out=names") == 0
    assert cli.run("sample", "run", "n=6", "as=npz", f"classes={numbers}", "out=numbers") == 0
    a, b = (samples(cli.folder / out) for out in ("names", "numbers"))
    assert np.array_equal(a["y"], b["y"])
    assert np.array_equal(a["x"], b["x"])


def test_an_unknown_name_of_a_class_lists_the_names_with_their_numbers(cli, animals, capsys):
    assert cli.run("sample", "run", "classes=[cat,cow]") == 2
    assert "or names: 0 cat, 1 dog, 2 sea lion" in capsys.readouterr().err
