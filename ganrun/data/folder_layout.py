"""What the folders below data.root stand for: classes, or a training and a test split, with or without classes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ganrun.data.image_files import ImageFiles
from ganrun.errors import UserError

TRAIN, TEST, VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")
Parts = tuple[str, ...]  # the names on the way from a root to an image


@dataclass(frozen=True)
class Layout:
    """The images of each split, and their classes.

    labels: {image: index of its class}, empty without classes.  unused: {why: number of images}.
    empty: folders beside the classes that hold no image.  no_classes: why there are none, and what would make some.
    """

    splits: dict[str, list[Path]]
    classes: list[str] = field(default_factory=list)
    labels: dict[Path, int] = field(default_factory=dict)
    unused: dict[str, int] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    no_classes: str = ""


def read_layout(found: Sequence[ImageFiles]) -> Layout:
    """Return what the folders below one or several roots stand for. UserError where that is ambiguous."""
    parts = {path: each.parts(path) for each in found for path in each.paths}
    folders = [each.parts(folder) for each in found for folder in each.folders]
    splits, unused = divide(parts)
    depth = 1 if "test" in splits else 0  # at which the names of classes stand
    train = {path: parts[path] for path in splits["train"]}
    classes = sorted({names[depth] for names in train.values()})
    if len(classes) < 2 or any(len(names) == depth + 1 for names in train.values()):
        return Layout(splits, unused=unused, no_classes=explain_no_classes(train, depth))
    splits["test"], unlabelled = keep_labelled(splits.get("test", []), parts, classes)
    unused |= {"test images without a class": unlabelled} if unlabelled else {}
    index = {name: i for i, name in enumerate(classes)}
    labels = {path: index[parts[path][depth]] for paths in splits.values() for path in paths}
    beside = {names[depth] for names in folders if len(names) == depth + 1 and (not depth or is_in(names, TRAIN))}
    splits = {split: paths for split, paths in splits.items() if paths}
    return Layout(splits, classes, labels, unused, sorted(beside - {*classes}))


def is_in(names: Parts, split: Sequence[str]) -> bool:
    return names[0].lower() in split


def divide(parts: dict[Path, Parts]) -> tuple[dict[str, list[Path]], dict[str, int]]:
    """Return the images of each split, and how many are left out: those of val/ if there is test/, too."""
    if not is_divided(parts.values()):
        return {"train": [*parts]}, {}
    held_out = TEST if any(is_in(names, TEST) for names in parts.values()) else VALIDATION
    splits = {
        split: [path for path, names in parts.items() if is_in(names, folders)]
        for split, folders in (("train", TRAIN), ("test", held_out))
    }
    rest = len(parts) - sum(map(len, splits.values()))
    return splits, {"images for validation": rest} if rest else {}


def is_divided(parts: Iterable[Parts]) -> bool:
    """Return whether the first folders are train/ and test/ or val/. UserError if such folders lie anywhere else."""
    below: defaultdict[Parts, set[str]] = defaultdict(set)  # folder: names of its subfolders with images
    strays = Counter[Parts]()  # images at the top
    for names in parts:
        strays[()] += len(names) == 1
        for depth in range(len(names) - 1):
            below[names[:depth]].add(names[depth])
    for folder, names in below.items():
        kinds = {name: name.lower() for name in names}
        has_test = any(kind in (*TEST, *VALIDATION) for kind in kinds.values())
        others = [name for name, kind in kinds.items() if kind not in (*TRAIN, *TEST, *VALIDATION)]
        has_train = any(kind in TRAIN for kind in kinds.values())
        is_split = has_test and (has_train or (len(names) > 1 and not others))
        if is_split and (folder or others or strays[()] or not has_train):
            raise UserError(explain_misplaced(folder, sorted(names), strays[()]))
        if is_split:
            return True
    return False


def explain_misplaced(folder: Parts, names: list[str], strays: int) -> str:
    place = f"data.root/{'/'.join(folder)}" if folder else "data.root"
    beside = f" and {strays} images" if strays else ""
    return (
        f"{place} holds the folders {', '.join(names[:10])}{beside}: which images are for training is not clear. "
        "Expected: train/ and test/ (or val/) at the top of data.root and nothing beside them, with the folders of the "
        "classes in each. Or give the folders to train on: data.root=FOLDER/train, or a list of them, "
        "'data.root=[A,B]'."
    )


def keep_labelled(test: list[Path], parts: dict[Path, Parts], classes: list[str]) -> tuple[list[Path], int]:
    """Return the test images that lie in a folder, and the number of others. UserError for an unknown class."""
    labelled = [path for path in test if len(parts[path]) > 2]
    if unknown := sorted({parts[path][1] for path in labelled} - {*classes}):
        raise UserError(f"The test images have classes that the training images lack: {', '.join(unknown[:10])}.")
    return labelled, len(test) - len(labelled)


def explain_no_classes(train: dict[Path, Parts], depth: int) -> str:
    """Return why the training images have no classes. Classes are two or more folders with no image beside them."""
    strays = [path for path, names in train.items() if len(names) == depth + 1]
    folders = sorted({names[depth] for names in train.values() if len(names) > depth + 1})
    if strays and folders:
        count = f"{len(strays)} images lie" if len(strays) > 1 else "an image lies"
        return (
            f"No classes: {count} beside the folders {', '.join(folders[:10])}, such as {strays[0]}. "
            "Move such images into the folder of a class, or away."
        )
    if folders:
        return (
            f"No classes: all images lie in one folder, {folders[0]}. If the classes are folders in it, set data.root "
            "to it."
        )
    return "No classes: the images lie in no subfolders. Classes are two or more folders side by side."
