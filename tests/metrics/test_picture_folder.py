import os

import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.errors import UserError
from ganrun.metrics import picture_folder
from ganrun.metrics.picture_folder import PictureFolder


@pytest.fixture
def folder(tmp_path):
    """200 grey images of 4x4 or 6x5 and 50 colour images of 4x4 in subfolders, each with its own pixel value."""
    for i in range(250):
        shape = [(4, 4), (6, 5)][i % 2] if i < 200 else (4, 4, 3)
        subfolder = tmp_path / "pictures" / str(i % 3)
        subfolder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(shape, i, dtype=np.uint8)).save(subfolder / f"{i:03}.png")
    return tmp_path / "pictures"


def values(parts):
    """The pixel values of the images, in their order."""
    return [int(picture.flatten()[0]) for part in parts for picture in part]


def test_each_image_comes_once_in_batches_of_one_size(folder):
    parts = [*PictureFolder(folder).reference()]
    assert sorted(values(parts)) == [*range(250)]
    assert {tuple(part.shape[1:]) for part in parts} == {(1, 4, 4), (1, 6, 5), (3, 4, 4)}
    assert all(part.dtype == torch.uint8 for part in parts)
    assert all((part == part[:, :1, :1, :1]).all() for part in parts)


def test_the_order_depends_on_the_seed_alone(folder):
    first, again, other = (values(PictureFolder(folder, seed).reference()) for seed in (0, 0, 1))
    assert first == again != other
    early = [value < 125 for value in first[:125]]
    assert 0.3 < sum(early) / 125 < 0.7  # files are often sorted, and some scores keep the first pictures only


def test_a_limit_takes_the_first_images_of_the_order(folder):
    data = PictureFolder(folder)
    whole = [*data.reference(limit=picture_folder.WINDOW)]
    assert len(values(whole)) == picture_folder.WINDOW
    assert values(whole) == values(data.reference())[: picture_folder.WINDOW]
    assert len(values(data.reference(limit=70))) == 70


def test_batches_of_large_images_hold_few(folder, monkeypatch):
    monkeypatch.setattr(picture_folder, "MAX_BATCH_BYTES", 100)
    sizes = {(len(part), part[0].numel()) for part in PictureFolder(folder).reference()}
    assert max(n * size for n, size in sizes) <= 100
    monkeypatch.setattr(picture_folder, "MAX_BATCH_BYTES", 1)
    assert {len(part) for part in PictureFolder(folder).reference()} == {1}


def test_a_changed_file_changes_the_fingerprint(folder):
    first = PictureFolder(folder).fingerprint
    assert PictureFolder(folder).fingerprint == first
    path = folder / "0" / "000.png"
    stat = path.stat()
    path.touch()
    touched = PictureFolder(folder).fingerprint
    path.unlink()
    assert len({first, touched, PictureFolder(folder).fingerprint}) == 3
    assert stat.st_size


def test_renamed_images_change_the_fingerprint(folder):
    first = PictureFolder(folder).fingerprint
    os.rename(folder / "0", folder / "x")
    assert PictureFolder(folder).fingerprint != first


def test_a_damaged_image_is_named(folder):
    (folder / "1" / "bad.jpg").write_bytes(b"\xff\xd8 no more")
    with pytest.raises(UserError, match=r"1/bad\.jpg: not an image"):
        values(PictureFolder(folder).reference())
