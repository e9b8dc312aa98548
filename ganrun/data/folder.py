"""A folder of images, with or without classes."""

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ganrun.data.cache import CacheWriter, LoadedData
from ganrun.data.decode import Size, check_image_format
from ganrun.data.decode_all import decode_all
from ganrun.data.folder_layout import Layout, read_layout
from ganrun.data.image_files import ImageFiles, describe_left_out, list_images, refuse_lost, require_image_files
from ganrun.data.roots import Root, root_folders
from ganrun.data.source import FileSource
from ganrun.errors import UserError
from ganrun.seeds import named_generator

log = logging.getLogger(__name__)
EXPECTED = (
    "Expected: a folder of images, or several, 'data.root=[A,B]'; two or more subfolders side by side are classes."
)
SKIP = "Repair or remove them, or leave them out with data.bad_images=skip."
CLASSES_SHOWN = 20


class Folder(FileSource):
    """All images below `root`, which may be several folders. See `folder_layout` for classes and splits.

    held_out: share of the images for the test split, if the folder has no test/.
    """

    name = "folder"
    option_names = ("size", "channels", "fit", "bad_images", "held_out")

    def __init__(self, root: Root, size: Size, channels: int, fit: str, bad_images: str, held_out: float):
        check_image_format(size, channels, fit, bad_images)
        if not 0 <= held_out < 1:
            raise UserError(f"data.held_out must be a share from 0 to below 1, got {held_out}.")
        self.root, self.size, self.channels, self.fit = root, size, channels, fit
        self.bad_images, self.held_out = bad_images, held_out

    @cached_property
    def _found(self) -> list[ImageFiles]:
        visited: set[str] = set()
        found = [list_images(folder, visited) for folder in root_folders(self.root, self.name, EXPECTED)]
        if self.bad_images == "raise":
            refuse_lost(found, SKIP)
        return [require_image_files(each, EXPECTED) for each in found]

    @cached_property
    def layout(self) -> Layout:
        return read_layout(self._found)

    def files(self) -> list[Path]:
        paths = [path for each in self._found for path in each.paths]
        _ = self._splits  # raises UserError for splits that cannot be
        return paths

    def count_classes(self) -> int:
        return len(self.layout.classes)

    def explain_missing_labels(self) -> str:
        return self.layout.no_classes

    def write(self, store: CacheWriter) -> dict:
        skipped, layout = [], self.layout
        for split, paths in self._splits.items():
            kept, bad = decode_all(store, split, "x", paths, self.bad_images, self.size, self.channels, fit=self.fit)
            skipped += bad
            if layout.classes:
                labels = np.array([layout.labels[paths[i]] for i in kept], dtype=np.int64)
                if split == "train":
                    check_classes(layout.classes, labels)
                store.save(split, "y", labels)
        return {"classes": layout.classes, "skipped": skipped}

    def load(self) -> LoadedData:
        data = super().load()
        log.info("%s", self._describe(data))
        return data

    def _describe(self, data: LoadedData) -> str:
        """Return what is used and what is left out: "8 images used (train 6, test 2); left out: 1 hidden; ..."."""
        counts = {split: len(tensors["x"]) for split, tensors in data.splits.items()}
        used = f"data=folder: {sum(counts.values())} images used"
        used += f" ({', '.join(f'{split} {count}' for split, count in counts.items())})" if len(counts) > 1 else ""
        used += (
            f", none for a test split by data.held_out={self.held_out}"
            if self.held_out and "test" not in counts
            else ""
        )
        unused = [f"{count} {why}" for why, count in self.layout.unused.items()]
        damaged = [f"{len(data.skipped)} that cannot be decoded"] if data.skipped else []
        left_out = ", ".join([*damaged, *unused, *filter(None, [describe_left_out(self._found)])])
        empty = ", ".join(self.layout.empty[:CLASSES_SHOWN])
        labels = data.splits["train"].get("y")
        sizes = [] if labels is None else torch.bincount(labels, minlength=len(data.classes)).tolist()
        classes = [f"{i} {name} ({count})" for i, (name, count) in enumerate(zip(data.classes, sizes, strict=False))]
        more = f", and {len(classes) - CLASSES_SHOWN} more" if len(classes) > CLASSES_SHOWN else ""
        parts = [
            used,
            f"left out: {left_out}" if left_out else "no file left out",
            f"no image in: {empty}" if empty else "",
            f"classes: {', '.join(classes[:CLASSES_SHOWN])}{more}" if classes else self.layout.no_classes,
        ]
        return "; ".join(filter(None, parts))

    @cached_property
    def _splits(self) -> dict[str, list[Path]]:
        splits = self.layout.splits
        if not self.held_out:
            return splits
        if "test" in splits:
            raise UserError(
                f"data.held_out={self.held_out}, but data.root has a test split of its own. Leave data.held_out out, "
                "or set data.root to the folder of the training images."
            )
        return hold_out(splits["train"], self.held_out, self.layout)


def hold_out(paths: Sequence[Path], share: float, layout: Layout) -> dict[str, list[Path]]:
    """Return a training and a test split, unless the share is less than one image.

    Each class keeps at least one image for training.
    """
    count = round(share * len(paths))
    if count == len(paths):
        raise UserError(
            f"data.held_out={share} of {len(paths)} images leaves none for training. Hold out a smaller share, such as "
            "data.held_out=0.1, or none: data.held_out=0"
        )
    held_out = set(torch.randperm(len(paths), generator=named_generator("held out"))[:count].tolist())
    left = {layout.labels.get(path, 0) for i, path in enumerate(paths) if i not in held_out}
    for i in sorted(held_out):
        label = layout.labels.get(paths[i], 0)
        if label not in left:
            held_out.remove(i)
            left.add(label)
    train = [path for i, path in enumerate(paths) if i not in held_out]
    return {"train": train} | ({"test": [paths[i] for i in sorted(held_out)]} if held_out else {})


def check_classes(classes: Sequence[str], labels: np.ndarray) -> None:
    """Raise UserError for classes whose training images are all damaged."""
    counts = Counter(labels.tolist())
    if lost := [name for i, name in enumerate(classes) if not counts[i]]:
        raise UserError(
            f"No training image can be decoded of the classes {', '.join(lost[:CLASSES_SHOWN])}. "
            "Repair their files, or remove their folders."
        )
