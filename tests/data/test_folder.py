"""Folders of images, and two domains of them."""

import numpy as np
import pytest
from PIL import Image

from ganrun.data import decode_all
from ganrun.data.folder import Folder
from ganrun.data.unpaired import Unpaired
from ganrun.errors import UserError

OPTIONS = {"size": 4, "channels": 3, "fit": "crop", "bad_images": "raise"}


def paint(path, shade):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), shade).save(path)


def shades(pictures):
    return pictures[:, 0, 0, 0].tolist()


@pytest.fixture
def open_folder(tmp_path, build):
    def open_it(**options):
        return build(Folder, **({"root": str(tmp_path / "root"), "held_out": 0.0, **OPTIONS} | options))

    return open_it


@pytest.fixture
def tree(tmp_path):
    """Two classes of three images each, one image in a subfolder."""
    for i, name in enumerate(["cats/a.png", "cats/b.png", "cats/more/c.png", "dogs/a.png", "dogs/b.png", "dogs/c.png"]):
        paint(tmp_path / "root" / name, 10 * i)
    return tmp_path / "root"


def test_first_level_folders_are_the_classes(tree, open_folder):
    data = open_folder()
    assert data.gives == ("x", "y", "picture")
    assert data.count_classes() == 2
    assert data.classes == ["cats", "dogs"]
    assert shades(data.contents.splits["train"]["x"]) == [0, 10, 20, 30, 40, 50]
    assert data.contents.splits["train"]["y"].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("names", [["a.png", "b.png"], ["all/a.png", "all/b.png"], ["a.png", "cats/b.png"]])
def test_a_tree_without_classes_gives_no_labels(tmp_path, open_folder, names):
    for name in names:
        paint(tmp_path / "root" / name, 7)
    data = open_folder()
    assert data.gives == ("x", "picture")
    assert (data.count_classes(), data.classes) == (0, [])
    assert set(data.batch(0)) == {"x"}


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_images_become_rectangles_and_are_cached_as_such(tree, open_folder, fit):
    data = open_folder(size=[3, 5], fit=fit)
    for _ in range(2):
        assert data.contents.splits["train"]["x"].shape == (6, 3, 3, 5)
        data = open_folder(size=[3, 5], fit=fit)


def test_classes_are_counted_without_decoding(tree, open_folder, monkeypatch):
    monkeypatch.setattr(decode_all, "decode", None)
    assert open_folder().count_classes() == 2


def test_a_second_start_decodes_nothing_until_an_image_changes(tree, open_folder, monkeypatch):
    decoded, real = [], decode_all.decode
    monkeypatch.setattr(
        decode_all, "decode", lambda path, *args, **form: (decoded.append(path), real(path, *args, **form))[1]
    )
    open_folder().prepare_data()
    assert len(decoded) == 6
    assert open_folder().contents.skipped == []
    assert len(decoded) == 6
    paint(tree / "dogs" / "d.png", 60)
    open_folder().prepare_data()
    assert len(decoded) == 13


def test_more_images_than_one_block_stay_in_order(tmp_path, open_folder):
    for i in range(3 * decode_all.BLOCK + 5):
        paint(tmp_path / "root" / f"{i:04d}.png", i)
    assert shades(open_folder().contents.splits["train"]["x"]) == list(range(3 * decode_all.BLOCK + 5))


def test_grey_images_keep_one_channel(tree, open_folder):
    x = open_folder(channels=1).contents.splits["train"]["x"]
    assert x.shape == (6, 1, 4, 4)
    assert shades(x) == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    ("fit", "expected"), [("crop", [0] * 4), ("pad", [255, 0, 0, 255]), ("stretch", [90, 0, 0, 90])]
)
def test_fit_decides_how_a_tall_image_becomes_square(tmp_path, open_folder, fit, expected):
    pixels = np.zeros((8, 4), dtype=np.uint8)
    pixels[:2], pixels[6:] = 90, 90
    (tmp_path / "root").mkdir()
    Image.fromarray(pixels).save(tmp_path / "root" / "tall.png")
    picture = open_folder(fit=fit, channels=1).contents.splits["train"]["x"][0, 0]
    found = picture[1] if fit == "pad" else picture[:, 1]
    assert np.abs(found.numpy().astype(int) - expected).max() <= (0 if fit == "crop" else 12)


def test_the_held_out_share_is_always_the_same(tree, open_folder):
    first, second = (open_folder(held_out=0.34).contents.splits for _ in range(2))
    assert len(first["test"]["x"]) == 2
    assert shades(first["test"]["x"]) == shades(second["test"]["x"])
    everything = shades(first["train"]["x"]) + shades(first["test"]["x"])
    assert sorted(everything) == [0, 10, 20, 30, 40, 50]
    assert first["test"]["y"].tolist() == [int(shade >= 30) for shade in shades(first["test"]["x"])]


def test_an_image_that_cannot_be_decoded_is_named(tree, open_folder):
    (tree / "cats" / "b.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"cats/b\.png: not an image.*data\.bad_images=skip"):
        open_folder().prepare_data()


def test_images_that_cannot_be_decoded_can_be_skipped_and_are_listed(tree, open_folder, caplog):
    (tree / "cats" / "b.png").write_bytes(b"no picture")
    (tree / "dogs" / "c.png").write_bytes(b"")
    contents = open_folder(bad_images="skip").contents
    assert shades(contents.splits["train"]["x"]) == [0, 20, 30, 40]
    assert contents.splits["train"]["y"].tolist() == [0, 0, 1, 1]
    assert [line.split(":")[0].rsplit("/", 2)[1:] for line in contents.skipped] == [
        ["cats", "b.png"],
        ["dogs", "c.png"],
    ]
    assert "Skipped images: 2" in caplog.text


def test_if_no_image_can_be_decoded_skipping_is_an_error_too(tmp_path, open_folder):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"None of the 1 images could be decoded.*a\.png"):
        open_folder(bad_images="skip").prepare_data()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": None}, r"data\.root=FOLDER"),
        ({"root": "/nowhere/at/all"}, r"data\.root=/nowhere/at/all does not exist"),
        ({"size": 0}, r"data\.size must be .*got 0"),
        ({"fit": "cover"}, r"data\.fit=cover"),
        ({"channels": 4}, r"data\.channels must be .*got 4"),
        ({"bad_images": "ignore"}, r"data\.bad_images=ignore.*raise, skip"),
        ({"held_out": 1.0}, r"data\.held_out must be .*got 1\.0"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(tree, open_folder, options, message):
    with pytest.raises(UserError, match=message):
        open_folder(**options).prepare_data()


def test_a_folder_without_images_is_named(tmp_path, open_folder):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"root contains no image \(\.apng, \.bmp"):
        open_folder().prepare_data()


def test_a_root_that_is_a_file_is_named(tmp_path, open_folder):
    (tmp_path / "root").touch()
    with pytest.raises(UserError, match="is a file, not a folder"):
        open_folder().prepare_data()


# two domains


@pytest.fixture
def domains(tmp_path):
    """Three images for A, two for B, and two test images with the same names in both."""
    for i, name in enumerate(["trainA/1", "trainA/2", "trainA/3", "trainB/4", "trainB/5"]):
        paint(tmp_path / "root" / f"{name}.png", i)
    for i, name in enumerate(["testA/8", "testA/9", "testB/8", "testB/9"]):
        paint(tmp_path / "root" / f"{name}.png", 100 + i)
    return tmp_path / "root"


@pytest.fixture
def open_unpaired(tmp_path, build):
    def open_it(**options):
        settings = {"root": str(tmp_path / "root"), "gives": ("a", "b", "picture"), "classes": 0, **OPTIONS} | options
        return build(Unpaired, **settings)

    return open_it


def test_domains_may_have_different_sizes(domains, open_unpaired):
    data = open_unpaired()
    assert shades(data.contents.splits["train"]["a"]) == [0, 1, 2]
    assert shades(data.contents.splits["train"]["b"]) == [3, 4]
    assert (data.reference_count("a"), data.reference_count("b")) == (3, 2)
    assert set(data.batch(0)) == {"a", "b"}


def test_test_images_with_the_same_names_are_paired(domains, open_unpaired):
    data = open_unpaired()
    assert data.is_paired
    assert shades(data.contents.splits["test"]["b"]) == [102, 103]


def test_test_images_with_different_names_are_not_paired(domains, open_unpaired):
    (domains / "testB" / "9.png").rename(domains / "testB" / "7.png")
    assert not open_unpaired().is_paired


def test_skipping_one_image_of_a_pair_ends_the_pairing(domains, open_unpaired):
    (domains / "testB" / "9.png").write_bytes(b"")
    assert not open_unpaired(bad_images="skip").is_paired


def test_without_test_folders_the_training_images_are_used(domains, open_unpaired):
    for name in ("testA", "testB"):
        (domains / name).rename(domains.parent / name)
    data = open_unpaired()
    assert not data.is_paired
    assert len(data.test("a")) == 3


@pytest.mark.parametrize("lost", ["trainA", "trainB", "testA", "testB"])
def test_a_missing_domain_is_named(domains, open_unpaired, lost):
    (domains / lost).rename(domains.parent / lost)
    with pytest.raises(UserError, match=f"lacks {lost}.*ROOT/trainA"):
        open_unpaired().prepare_data()


def test_an_empty_domain_is_named(domains, open_unpaired):
    for path in (domains / "trainB").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="trainB contains no image"):
        open_unpaired().prepare_data()


def test_a_second_start_decodes_no_domain(domains, open_unpaired, monkeypatch):
    open_unpaired().prepare_data()
    monkeypatch.setattr(decode_all, "decode", None)
    assert open_unpaired().is_paired
