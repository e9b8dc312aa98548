"""Download files with a progress bar and check them against a pinned hash."""

import logging
import os
from pathlib import Path
from typing import Any

import pooch
from tqdm import tqdm

from ganrun.errors import UserError
from ganrun.files import building, cache_dir, remove_abandoned, remove_unchanged

log = logging.getLogger(__name__)


def download(urls: list[str], md5: str, folder: str, advice: str) -> Path:
    """Return the file in cache_dir()/downloads/folder; if missing, download it from the first of the urls that works.

    advice: end of the UserError if none works: which file to put where.
    """
    name = urls[0].rsplit("/", 1)[1]
    target = cache_dir() / "downloads" / folder / name
    remove_abandoned(target.parent)
    if target.is_file():  # complete: it is moved there after its hash was checked
        return target
    pooch.get_logger().setLevel("WARNING")
    failures = []
    for url in urls:
        try:
            return _fetch(url, md5, target)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
            failures.append(f"{url} ({_shorten(error)})")
    raise UserError(f"Could not download {name} from {' or '.join(failures)}. {advice}")


def _fetch(url: str, md5: str, target: Path) -> Path:
    log.info("Downloading %s", url)
    # pooch sets the total, but takes a bar without one for none. disable=None: no bar outside a terminal.
    bar: Any = tqdm(total=1, desc=target.name, unit="B", unit_scale=True, leave=False, disable=None)
    downloader: Any = pooch.HTTPDownloader(progressbar=bar)
    return retrieve(url, f"md5:{md5}", target, downloader=downloader)


def retrieve(url: str, known_hash: str, target: Path, **options: Any) -> Path:
    """Download a file to `target` as a whole or not at all, and return that.  options: of pooch.retrieve."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_unchanged(target.parent.glob("tmp????????"))  # what killed downloads of version 0.1 have left
    with building(target) as folder:
        pooch.retrieve(url, known_hash, fname=target.name, path=folder, **options)
        os.replace(folder / target.name, target)
    return target


def _shorten(error: Exception) -> str:
    text = str(error)
    if "does not match the known hash" in text:
        return "the file has the wrong hash"
    return type(error).__name__ if len(text) > 100 else text
