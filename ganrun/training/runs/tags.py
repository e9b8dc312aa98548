"""Tags of a run, kept in its folder."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ganrun.config.json_forms import read_form
from ganrun.errors import UserError
from ganrun.files import write_json

TAGS = "tags.json"
MAX_BYTES = 2**16
TAG = re.compile(r"\w[\w.+:@-]{0,39}")


def is_tag(value: Any) -> bool:
    """Whether it is a short name of letters, digits and . + : @ - that the terminal only displays."""
    return isinstance(value, str) and TAG.fullmatch(value) is not None


def read_tags(folder: Path) -> list[str]:
    """Return the tags of a run, sorted; none if the file is missing or damaged."""
    try:
        return sorted({*read_form(folder / TAGS, MAX_BYTES, [is_tag])})
    except (OSError, ValueError):
        return []


def change_tags(folder: Path, added: Iterable[str], removed: Iterable[str]) -> list[str]:
    """Add and remove tags of a run, and return those that it has then. UserError for a name that is no tag."""
    added, removed, before = [*added], {*removed}, read_tags(folder)
    for name in added:
        if not is_tag(name):
            raise UserError(
                f'"{name}" cannot be a tag. A tag has at most 40 letters, digits and . _ + : @ - and begins with a '
                "letter or digit, as in: ganrun runs tag RUN baseline"
            )
    if missing := removed - {*before}:
        has = f"It has {', '.join(before)}." if before else "It has none."
        raise UserError(f'{folder} has no tag "{min(missing)}". {has}')
    tags = sorted({*before, *added} - removed)
    if tags != before:
        write_json(folder / TAGS, tags)
    return tags
