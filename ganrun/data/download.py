"""Download files with a progress bar and check them against a pinned hash."""

import logging
import sys
from pathlib import Path
from typing import Any

import pooch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ganrun.errors import UserError
from ganrun.paths import cache_dir

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
    bar: Any = _ProgressBar(target.name) if sys.stderr.isatty() else False
    downloader: Any = pooch.HTTPDownloader(progressbar=bar)
    return Path(pooch.retrieve(url, f"md5:{md5}", fname=target.name, path=target.parent, downloader=downloader))


def _shorten(error: Exception) -> str:
    text = str(error)
    if "does not match the known hash" in text:
        return "the file has the wrong hash"
    return type(error).__name__ if len(text) > 100 else text


class _ProgressBar:
    """A rich progress bar with the interface that pooch expects."""

    def __init__(self, name: str):
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(name, total=None)
        self.total = 0

    def update(self, size: int) -> None:
        self._progress.start()
        self._progress.update(self._task, advance=size, total=self.total or None)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.stop()
