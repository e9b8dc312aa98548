"""The card of an exported model, card.json, which makes a folder a bundle: finding it, and what it may hold."""

import os
from pathlib import Path
from typing import Any

from ganrun.config.json_forms import (
    is_amount,
    is_config,
    is_count,
    is_number,
    is_plain_name,
    is_shallow,
    is_text,
    optional,
    read_form,
)
from ganrun.errors import UserError
from ganrun.files import UnsafeFileError, sha256_of_file, user_path
from ganrun.training.run_folder import check_contents

CARD, README = "card.json", "README.md"
VERSION = 1
MAX_CARD = 2**24  # bytes
SIDE = optional(is_count)
INPUT_FORM = {
    **{"name": lambda value: is_text(value) and value.isidentifier(), "kind": is_text, "shape": [SIDE]},
    **{"dtype": lambda value: value in ("float32", "float64", "int64"), "classes": is_count, "multiple": is_count},
    **{"low": is_number, "high": is_number, "shares": [is_amount]},
}
CARD_FORM = {
    **{"bundle": is_count, "title": is_text, "model": is_text, "data": is_text, "kimg": is_amount, "format": is_text},
    **{"opset": optional(is_count), "license": optional(is_text), "kind": is_text, "classes": [is_text]},
    **{
        "averaged_weights": lambda value: isinstance(value, bool),
        "takes": [is_text],
        "needs": {str: optional(is_text)},
    },
    **{"programs": [{"name": is_plain_name, "inputs": [INPUT_FORM], "output": [SIDE]}], "files": {str: is_text}},
    **{"scores": {str: optional(is_number)}, "protocol": {str: is_shallow}, "check": {str: is_shallow}},
    **{"checkpoint": {str: is_text}, "fingerprint": optional(is_text), "choices": {str: is_text}},
    **{"versions": {str: is_text}, "config": is_config},
}
NEEDED = (
    *("bundle", "model", "data", "kimg", "format", "classes", "averaged_weights", "takes", "needs", "programs"),
    *("files", "choices", "config", "scores", "protocol", "checkpoint"),
)


def find_bundle(name: str) -> Path | None:
    """Return the folder of the bundle that a user names: the folder itself or a file in it; None if it is none."""
    path = user_path(name)
    folder = path.parent if os.path.isfile(path) and path.suffix != ".ckpt" else path
    return folder if os.path.lexists(folder / CARD) else None


def read_card(folder: Path, trust: bool = False) -> dict[str, Any]:
    """Return the card of a bundle. This runs nothing.

    trust: whether links may lead out of the folder.  Raises UserError for a card that ganrun does not write.
    """
    check_contents(folder, trust)
    try:
        card = read_form(folder / CARD, MAX_CARD, CARD_FORM)
        if missing := [key for key in NEEDED if key not in card]:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except (ValueError, OSError, UnsafeFileError) as error:
        raise UserError(f"{folder / CARD} cannot be read as the card of an exported model ({error}).") from error
    if card["bundle"] > VERSION:
        raise UserError(f"{folder / CARD} was written by a newer ganrun. Update ganrun.")
    return card


def check_file(folder: Path, card: dict[str, Any], name: str) -> Path:
    """Return the path of a file of the bundle. Raises UserError if its bytes are not those that the card states."""
    path, digest = folder / name, card["files"].get(name)
    if digest is None or not path.is_file():
        raise UserError(f"{folder} lacks {name}. Copy the whole folder that ganrun export wrote.")
    if digest != sha256_of_file(path):
        raise UserError(f"{path} is not the file that its card states: its bytes have changed since the export.")
    return path
