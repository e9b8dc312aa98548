"""The image files that a user gives to a trained model."""

import os
from pathlib import Path

import torch
from torch import Tensor

from ganrun.data.decode import BadImageError, decode
from ganrun.data.image_files import SUFFIXES, UNREADABLE, ImageFiles, describe_left_out, list_images, refuse_lost
from ganrun.data.roots import explain_no_folder
from ganrun.errors import UserError, shorten
from ganrun.files import user_path
from ganrun.training.inference import TrainedModel

INPUT = f"Give an image file, or a folder with images ({', '.join(sorted(SUFFIXES))})."


def input_images(name: str | None) -> ImageFiles:
    """Return the image files at a path, a file or a folder. UserError if there are none."""
    if name is None:
        raise UserError(f"input=null names no image. {INPUT}")
    source = user_path(name)
    if problem := explain_no_folder(name):
        if os.path.isfile(source):
            return ImageFiles(source.parent, [source])
        raise UserError(f"No image at input={shorten(name)}: it {problem}. {INPUT}")
    found = list_images(source)
    refuse_lost([found], "Make them readable, or remove them.", [UNREADABLE])
    if not found.paths:
        left_out = describe_left_out([found])
        raise UserError(f"No image at input={name}{f': it holds {left_out}' if left_out else ''}. {INPUT}")
    return found


def load_image(trained: TrainedModel, keeps_size: bool, path: Path) -> Tensor:
    """Return an image in its own size, or in that of the model's training: uint8 [C, H, W]."""
    data = trained.config.data
    try:
        if keeps_size:
            return torch.tensor(decode(path, None, data.channels))
        return torch.tensor(decode(path, data.size, data.channels, data.get("fit", "crop")))
    except BadImageError as error:
        raise UserError(f"{error}. Remove the file from the input folder, or repair it.") from error
