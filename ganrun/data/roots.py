"""The folders that data.root names."""

import os
import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from ganrun.data.image_files import SUFFIXES
from ganrun.errors import UserError, shell_quote, shorten
from ganrun.files import user_path

ARCHIVES = re.compile(r"\.(zip|tar|tgz|tbz2|txz|7z|rar|tar\.\w+)$", re.IGNORECASE)
ABSENT, DANGLING = "does not exist", "is a link that leads nowhere"
Root = str | Sequence[str] | None  # a folder, or several, as data.root


class MissingRootError(UserError):
    """A folder of data.root is not there: it may have moved."""


def root_folder(root: Root, data: str, expected: str) -> Path:
    """Return the data set's folder as an absolute path.

    expected: sentences on where the data come from and which files belong where, for the UserError if it is missing.
    """
    if root is not None and not isinstance(root, str):
        raise UserError(f"data={data} reads one folder, but data.root={[*root]}. data=folder reads several. {expected}")
    return root_folders(root, data, expected)[0]


def root_folders(root: Root, data: str, expected: str) -> list[Path]:
    """Return the folders of a data set that may lie in several, as absolute paths."""
    names = [root] if isinstance(root, str) else [*(root or ())]
    if not names:
        raise UserError(f"data={data} reads images from your disk. Set data.root=FOLDER. {expected}")
    return [_existing_folder(name, expected) for name in names]


def _existing_folder(name: str, expected: str) -> Path:
    if problem := explain_no_folder(name):
        kind = MissingRootError if problem in (ABSENT, DANGLING) else UserError
        raise kind(f"data.root={shorten(name)} {problem}. {expected}")
    return user_path(name).resolve()


def explain_no_folder(name: str) -> str | None:
    """Return why a path that a user gives is not a folder, and what to give instead; None if it is one."""
    try:
        folder = user_path(name)
        return None if os.path.isdir(folder) else _explain(name, folder)
    except (OSError, ValueError) as error:  # a name that is too long, a loop of links, a null character
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"


def _explain(name: str, folder: Path) -> str:
    if re.match(r"\w+://", name):
        return "is a URL, and ganrun reads folders: download the images, unpack them, and give their folder"
    is_file = os.path.isfile(folder)
    if is_file and ARCHIVES.search(name):
        return "is a file, not a folder: unpack this archive, and give the folder with its images"
    if is_file and folder.suffix.lower() in SUFFIXES:
        return f"is a file, not a folder: this is one image; give its folder, {shell_quote(str(folder.parent))}"
    if is_file:
        return "is a file, not a folder"
    if re.search(r"[*?[]", name) and glob(str(folder)):
        return "is a pattern, and ganrun reads folders: give the folder that holds these files"
    return _explain_absence(folder)


def _explain_absence(folder: Path) -> str:
    try:
        os.stat(folder)
    except FileNotFoundError:
        return DANGLING if os.path.islink(folder) else ABSENT
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "is not a folder"
