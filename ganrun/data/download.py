"""Download files with a progress bar and check them against a pinned hash."""

import logging
from pathlib import Path
from typing import Any

import pooch
from tqdm import tqdm

from ganrun.errors import UserError
from ganrun.files import cache_dir

log = logging.getLogger(__name__)


def download(urls: list[str], md5: str, folder: str, advice: str) -> Path:
    """Return the file in cache_dir()/downloads/folder; if missing, download it from the first of the urls that works.

    advice: end of the UserError if none works: which file to put where.
    """
    name = urls[0].rsplit("/", 1)[1]
    target = cache_dir() / "downloads" / folder / name
    if target.is_file():  # complete: pooch moves a file there only after checking its hash
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
    return Path(pooch.retrieve(url, f"md5:{md5}", fname=target.name, path=target.parent, downloader=downloader))


def _shorten(error: Exception) -> str:
    text = str(error)
    if "does not match the known hash" in text:
        return "the file has the wrong hash"
    return type(error).__name__ if len(text) > 100 else text
