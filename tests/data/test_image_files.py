"""Which files below a folder are images, what is left out, and what the folders stand for."""

import os

import pytest
from PIL import Image

from ganrun.data import image_files
from ganrun.data.folder import Folder
from ganrun.data.image_files import describe_left_out, list_images
from ganrun.errors import UserError
from ganrun.metrics.picture_folder import PictureFolder

OPTIONS = {"size": 4, "channels": 3, "fit": "crop", "bad_images": "raise", "held_out": 0.0}


@pytest.fixture(autouse=True)
def info_is_logged(caplog):
    caplog.set_level("INFO")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def open_folder(root, build):
    return lambda **options: build(Folder, **({"root": str(root), **OPTIONS} | options))


def paint(root, *names):
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), i).save(root / name, format="PNG")


def test_links_to_folders_above_are_not_followed_and_each_real_folder_is_read_once(root):
    paint(root, "cats/1.png", "dogs/1.png")
    for link, target in {"cats/up": root, "dogs/up": root, "a": root / "cats", "dogs/over": root.parent}.items():
        (root / link).symlink_to(target)
    found = list_images(root)
    assert [path.relative_to(root).as_posix() for path in found.paths] == ["cats/1.png", "dogs/1.png"]
    assert describe_left_out([found]) == "4 links to folders that are read anyway or lie above"


def test_what_is_left_out_is_counted_with_reasons(root):
    paint(root, "1.png", "2.jpe", "._1.png", "x.png/3.png", "4.avif", "5.jp2", "noname", "Thumbs.db")
    (root / "gone.png").symlink_to("/nowhere/at/all")
    found = list_images(root)
    assert [path.name for path in found.paths] == ["1.png", "2.jpe", "3.png"]
    for part in (
        "1 dead link",
        "1 hidden",
        "2 images in formats that are not read (1 .avif, 1 .jp2: convert them to .png)",
        "1 without suffix",
    ):
        assert part in describe_left_out([found])


def test_runs_outputs_and_caches_are_no_data(root, monkeypatch):
    monkeypatch.setenv("GANRUN_CACHE", str(root / "cache"))
    paint(root, "1.png", "outputs/sample/a/1.png", "mine/samples/1.png", "cache/x/1.png")
    for name in ("config.yaml", "status.json"):
        (root / "mine" / name).touch()
    assert [path.name for path in list_images(root).paths] == ["1.png"]
    assert len(list_images(root / "mine").paths) == 1  # named by the user


def test_a_folder_that_cannot_be_read_is_refused_or_said(root, open_folder, monkeypatch, caplog):
    paint(root, "cats/1.png", "dogs/1.png", "owls/1.png")
    real = os.scandir

    def scan(path):
        if str(path).endswith("owls"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(image_files.os, "scandir", scan)
    with pytest.raises(UserError, match=r"1 unreadable folder.*owls.*data\.bad_images=skip"):
        open_folder().count_classes()
    with pytest.raises(UserError, match=r"1 unreadable folder.*owls"):
        PictureFolder(str(root))
    assert open_folder(bad_images="skip").classes == ["cats", "dogs"]
    assert "2 images used; left out: 1 unreadable folder" in caplog.text


def test_dead_links_are_refused_or_counted(root, open_folder, caplog):
    paint(root, "1.png", "2.png")
    (root / "3.png").symlink_to("/nowhere/at/all")
    with pytest.raises(UserError, match=r"1 dead link: .*3\.png -> /nowhere/at/all.*bad_images=skip"):
        open_folder().prepare_data()
    assert open_folder(bad_images="skip").train_count == 2
    assert "left out: 1 dead link" in caplog.text


def test_train_and_test_folders_are_splits(root, open_folder):
    paint(root, *(f"{split}/{name}/{i}.png" for split in ("train", "test", "val") for name in "ab" for i in range(2)))
    data = open_folder()
    assert data.classes == ["a", "b"]
    assert {split: len(part["x"]) for split, part in data.contents.splits.items()} == {"train": 4, "test": 4}
    with pytest.raises(UserError, match="a test split of its own"):
        open_folder(held_out=0.5).prepare_data()


@pytest.mark.parametrize("stray", ["other/1.png", "1.png", "more/train/1.png"])
def test_splits_that_are_not_clear_are_refused(root, open_folder, stray):
    paint(root, "train/1.png", "test/1.png", stray)
    if stray.startswith("more"):
        paint(root, "more/test/1.png")
    with pytest.raises(UserError, match="Expected: train/ and test/"):
        open_folder().prepare_data()


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["cats/1.png", "dogs/1.png", "1.png"], "an image lies beside the folders cats, dogs"),
        (["all/cats/1.png", "all/dogs/1.png"], "all images lie in one folder, all"),
        (["1.png"], "no subfolders"),
    ],
)
def test_why_there_are_no_classes_is_said(root, open_folder, names, reason):
    paint(root, *names)
    assert reason in open_folder().source.explain_missing_labels()


def test_classes_without_images_are_said_or_refused(root, open_folder, caplog):
    paint(root, "cats/1.png", "dogs/1.png")
    (root / "owls").mkdir()
    _ = open_folder().contents
    assert "no image in: owls" in caplog.text
    assert "classes: 0 cats (1), 1 dogs (1)" in caplog.text
    (root / "owls" / "1.png").write_bytes(b"x")
    with pytest.raises(UserError, match="of the classes owls"):
        open_folder(bad_images="skip").prepare_data()


def test_several_folders_are_read_and_their_classes_joined(tmp_path, open_folder):
    paint(tmp_path / "one", "cats/1.png", "dogs/1.png")
    paint(tmp_path / "two", "cats/1.png", "owls/1.png")
    data = open_folder(root=[str(tmp_path / "one"), str(tmp_path / "two")])
    assert data.classes == ["cats", "dogs", "owls"]
    assert data.contents.splits["train"]["y"].tolist() == [0, 1, 0, 2]


def test_holding_out_keeps_an_image_of_each_class_and_refuses_to_hold_out_all(root, open_folder):
    paint(root, "cats/1.png", "cats/2.png", "cats/3.png", "dogs/1.png")
    for share in (0.25, 0.5, 0.7):
        assert set(open_folder(held_out=share).contents.splits["train"]["y"].tolist()) == {0, 1}
    with pytest.raises(UserError, match=r"held_out=0\.9 of 4 images leaves none for training"):
        open_folder(held_out=0.9).prepare_data()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("https://x.org/a.zip", "is a URL"),
        ("{}/a.zip", "unpack this archive"),
        ("{}/1.png", "this is one image; give its folder"),
        ("{}/*", "is a pattern"),
        ("a" * 5000, "File name too long"),
        ("{}/gone", "is a link that leads nowhere"),
    ],
)
def test_a_root_that_is_no_folder_is_explained(root, open_folder, name, part):
    paint(root, "1.png")
    (root / "a.zip").touch()
    (root / "gone").symlink_to("/nowhere/at/all")
    with pytest.raises(UserError, match=part):
        open_folder(root=name.format(root)).prepare_data()
