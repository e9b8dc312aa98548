"""CelebA in the official layout, torchvision's and Kaggle's."""

import pytest
import torch
from helpers.celeba_files import NAMES, face, write_tables
from PIL import Image

from ganrun.data import celeba, decode_all
from ganrun.data.celeba import Celeba, class_names, crop_centre
from ganrun.errors import UserError

LAYOUTS = ["official", "torchvision", "kaggle"]


@pytest.fixture
def root(tmp_path):
    """layout -> a tiny CelebA."""

    def write(layout):
        base = tmp_path / "root" / "celeba" if layout == "torchvision" else tmp_path / "root"
        pictures = base / "img_align_celeba"
        pictures = pictures / "img_align_celeba" if layout == "kaggle" else pictures
        pictures.mkdir(parents=True)
        for i, name in enumerate(NAMES):
            face(i).save(pictures / name, quality=100)
        write_tables(base, "csv" if layout == "kaggle" else "txt")
        return tmp_path / "root"

    return write


@pytest.fixture
def open_celeba(build):
    def open_it(root, size=8, **options):
        options = {"channels": 3, "crop": 108, "attributes": None, "bad_images": "raise"} | options
        return build(Celeba, root=str(root) if root else None, size=size, **options)

    return open_it


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_images_splits_and_labels(root, open_celeba, layout):
    data = open_celeba(root(layout), attributes=["Male", "Smiling"])
    splits = data.contents.splits
    shades = splits["train"]["x"].float().mean(dim=(1, 2, 3))
    assert shades.sub(torch.tensor([20, 60, 100, 140])).abs().max() < 2
    assert splits["train"]["y"].tolist() == [3, 1, 2, 0]
    assert splits["test"]["y"].tolist() == [1]
    assert len(splits["test"]["x"]) == 1
    assert data.classes[2] == "Male+not-Smiling"


def test_only_the_centre_square_is_kept(root, open_celeba):
    x = open_celeba(root("official"), size=54).contents.splits["train"]["x"].float()
    spread = x.flatten(1).max(dim=1).values - x.flatten(1).min(dim=1).values
    assert spread.max() <= 12  # the black surroundings would make it the shade itself, but for the JPEG's blur


def test_a_crop_is_no_larger_than_the_image():
    assert crop_centre(Image.new("RGB", (100, 60)), 108).size == (60, 60)


def test_without_attributes_there_are_no_labels(root, open_celeba):
    data = open_celeba(root("official"))
    assert data.gives == ("x", "picture")
    assert data.count_classes() == 0
    assert "y" not in data.contents.splits["train"]


def test_with_attributes_the_number_of_classes_is_known_without_a_file(open_celeba):
    data = open_celeba(None, attributes=["Male", "Smiling", "Young"])
    assert data.count_classes() == 8
    assert data.gives == ("x", "y", "picture")


def test_the_first_attribute_is_the_highest_bit():
    assert class_names(["Male", "Smiling"]) == [
        "not-Male+not-Smiling",
        "not-Male+Smiling",
        "Male+not-Smiling",
        "Male+Smiling",
    ]


def test_an_unknown_attribute_is_refused_with_the_nearest_names(root, open_celeba):
    with pytest.raises(UserError, match=r"Smilling.*Did you mean Smiling"):
        open_celeba(root("official"), attributes=["Smilling"]).prepare_data()


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_root_without_celeba_is_refused_with_its_source_and_the_layouts(tmp_path, open_celeba, folder):
    with pytest.raises(UserError, match=r"mmlab.*kaggle.*img_align_celeba.*list_attr_celeba.*list_eval_partition"):
        open_celeba(tmp_path / folder).prepare_data()


def test_a_missing_root_is_refused_with_the_setting(open_celeba):
    with pytest.raises(UserError, match=r"data\.root=FOLDER.*mmlab"):
        open_celeba(None).prepare_data()


@pytest.mark.parametrize("lost", ["list_attr_celeba.txt", "list_eval_partition.txt"])
def test_a_missing_list_is_refused(root, open_celeba, lost):
    folder = root("official")
    (folder / lost).unlink()
    with pytest.raises(UserError, match="does not contain CelebA"):
        open_celeba(folder).prepare_data()


def test_a_list_that_ends_early_is_named(root, open_celeba):
    path = root("official") / "list_attr_celeba.txt"
    path.write_text(path.read_text()[:-6])
    with pytest.raises(UserError, match=r"list_attr_celeba\.txt is incomplete in the line of 000006\.jpg"):
        open_celeba(path.parent).prepare_data()


def test_lists_that_do_not_match_are_refused(root, open_celeba):
    path = root("official") / "list_eval_partition.txt"
    path.write_text(path.read_text() + "000007.jpg 0\n")
    with pytest.raises(UserError, match=r"lists 1 images that .*list_attr_celeba\.txt lacks, such as 000007\.jpg"):
        open_celeba(path.parent).prepare_data()


def test_a_missing_image_is_named_or_skipped_with_its_label(root, open_celeba):
    folder = root("official")
    (folder / "img_align_celeba" / NAMES[1]).unlink()
    with pytest.raises(UserError, match=NAMES[1]):
        open_celeba(folder).prepare_data()
    contents = open_celeba(folder, bad_images="skip", attributes=["Male"]).contents
    assert contents.splits["train"]["y"].tolist() == [1, 1, 0]
    assert len(contents.skipped) == 1


def test_a_second_start_reads_no_image(root, open_celeba, monkeypatch):
    folder = root("official")
    open_celeba(folder).prepare_data()
    monkeypatch.setattr(decode_all, "decode", None)
    monkeypatch.setattr(celeba, "read_table", None)
    assert len(open_celeba(folder).contents.splits["train"]["x"]) == 4
