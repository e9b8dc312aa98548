"""CelebA: aligned faces with 40 attributes, in the official layout or Kaggle's."""

import csv
import os
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from itertools import chain, product
from pathlib import Path
from sys import intern

import numpy as np
from PIL import Image

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import Size, check_image_format
from ganrun.data.decode_all import decode_all
from ganrun.data.roots import root_folder
from ganrun.data.source import FileSource
from ganrun.errors import UserError, did_you_mean
from ganrun.files import open_regular

EXPECTED = (
    "Get CelebA (Liu et al. 2015) from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Align&Cropped Images) or "
    "https://www.kaggle.com/datasets/jessicali9530/celeba-dataset. Expected in ROOT or ROOT/celeba: "
    "img_align_celeba/*.jpg (or img_align_celeba/img_align_celeba/*.jpg), list_attr_celeba.txt and "
    "list_eval_partition.txt (or both as .csv)."
)
MAX_ATTRIBUTES = 12  # whose combinations become classes
MAX_TABLE_BYTES, MAX_LINE, MAX_ROWS = 2**26, 10_000, 500_000  # the real lists have 27 million bytes and 202,599 rows
TRAIN, TEST = "0", "2"  # in list_eval_partition; 1 is the validation split, which is not used
Rows = dict[str, list[str]]  # image file -> the rest of its line


class Celeba(FileSource):
    """162,770 + 19,962 faces: the centre square of `crop` pixels, resized.

    attributes: their combinations become the classes, the first one is the label's highest bit; None: no labels.
    """

    name = "celeba"
    option_names = ("size", "channels", "crop", "attributes", "bad_images")

    def __init__(
        self,
        root: str | None,
        size: Size,
        channels: int,
        crop: int,
        attributes: list[str] | str | None,
        bad_images: str,
    ):
        check_image_format(size, channels, bad_images=bad_images)
        if crop <= 0:
            raise UserError(f"data.crop must be a positive number of pixels, got {crop}.")
        self.root, self.size, self.channels, self.crop, self.bad_images = root, size, channels, crop, bad_images
        self.attributes = [attributes] if isinstance(attributes, str) else list(attributes or [])
        if len(self.attributes) > MAX_ATTRIBUTES:
            count = len(self.attributes)
            raise UserError(f"data.attributes has {count} names, which make 2^{count} classes: give {MAX_ATTRIBUTES}.")
        self.classes = class_names(self.attributes)

    def files(self) -> list[Path]:
        images, attributes, partition = self._locations
        return [attributes, partition, *(images / name for name in sorted(os.listdir(images)))]

    @cached_property
    def _locations(self) -> tuple[Path, Path, Path]:
        """The folder of the images, the attribute file and the partition file."""
        root = root_folder(self.root, self.name, EXPECTED)
        for base in (root, root / "celeba"):
            images = base / "img_align_celeba"
            images = images / images.name if (images / images.name).is_dir() else images
            for ending in ("txt", "csv"):
                tables = base / f"list_attr_celeba.{ending}", base / f"list_eval_partition.{ending}"
                if images.is_dir() and all(table.is_file() for table in tables):
                    return images, *tables
        raise UserError(f"data.root={self.root} does not contain CelebA. {EXPECTED}")

    def write(self, store: CacheWriter) -> dict:
        _, attributes, partition = self._locations
        header, flags = read_table(attributes, self.attributes)
        for name in self.attributes:
            if name not in header:
                raise UserError(f"Unknown data.attributes={name}: not in {attributes}.{did_you_mean(name, header)}")
        _, splits = read_table(partition)
        if TRAIN not in {fields[0] for fields in splits.values()}:
            raise UserError(f"{partition} lists no training image (partition 0). Download it again.")
        skipped = []
        for split, number in (("train", TRAIN), ("test", TEST)):
            names = [name for name, fields in splits.items() if fields[0] == number]
            skipped += self._write_split(store, split, names, flags) if names else []
        return {"classes": self.classes, "skipped": skipped}

    def _write_split(self, store: CacheWriter, split: str, names: list[str], flags: Rows) -> list[str]:
        images, attributes, partition = self._locations
        unknown = [name for name in names if name not in flags]
        if unknown:
            raise UserError(f"{partition} lists {len(unknown)} images that {attributes} lacks, such as {unknown[0]}.")
        paths, crop = [images / name for name in names], partial(crop_centre, side=self.crop)
        kept, skipped = decode_all(store, split, "x", paths, self.bad_images, self.size, self.channels, prepare=crop)
        if self.attributes:
            labels = [class_index(flags[names[i]]) for i in kept]
            store.save(split, "y", np.array(labels, dtype=np.int64))
        return skipped


def class_names(attributes: list[str]) -> list[str]:
    """Return a name for each combination: [Male, Smiling] -> not-Male+not-Smiling, not-Male+Smiling, ..."""
    choices = [(f"not-{name}", name) for name in attributes]
    return ["+".join(names) for names in product(*choices)] if attributes else []


def class_index(flags: list[str]) -> int:
    """Return the index of a combination of "1" and "-1": the first flag is the highest bit."""
    return int("".join("1" if flag == "1" else "0" for flag in flags), 2)


def crop_centre(image: Image.Image, side: int) -> Image.Image:
    """Crop the centre square of `side` pixels, or the largest one."""
    side = min(side, *image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def read_table(path: Path, wanted: Sequence[str] = ()) -> tuple[list[str], Rows]:
    """Return the column names ([] if there are none) and the rows of an official .txt or a Kaggle .csv list.

    wanted: the columns to return, in this order, of a list with column names; () returns all columns.
    """
    lines = table_lines(path)
    header, first = table_header(lines, path)
    columns, width = [header.index(name) for name in wanted if name in header], len(header) + 1 if header else 2
    rows: Rows = {}
    for line in chain(first, lines):
        if len(line) != width or Path(line[0]).name != line[0] or len(rows) >= MAX_ROWS:
            raise UserError(f"{path} is incomplete in the line of {line[0][:80]}. Download it again.")
        rows[line[0]] = [intern(line[1 + column]) for column in columns] if columns else line[1:]
    if not rows:
        raise UserError(f"{path} is incomplete. Download it again.")
    return header, rows


def table_lines(path: Path) -> Iterator[list[str]]:
    """Yield the fields of each line that has some."""
    try:
        with open_regular(path, MAX_TABLE_BYTES, follow_links=True) as file:
            while line := file.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    raise ValueError(f"a line has more than {MAX_LINE:,} bytes")
                text = line.decode().strip()
                if text:
                    yield next(csv.reader([text])) if path.suffix == ".csv" else text.split()
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}). Download it again.") from error


def table_header(lines: Iterator[list[str]], path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the column names, and the first line if it is a row."""
    first = next(lines, [])
    if path.suffix == ".csv":
        return first[1:], []
    if len(first) == 1:  # the attribute list starts with a count and the names
        return next(lines, []), []
    return [], [first] if first else []
