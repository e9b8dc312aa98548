"""Files from the web, checked against a pinned hash, with a progress bar."""

import logging
import sys
from pathlib import Path

import pooch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ganrun.errors import UserError
from ganrun.paths import cache_dir

log = logging.getLogger(__name__)


def download(urls: list[str], md5: str, folder: str, advice: str) -> Path:
    """The file in cache_dir()/downloads/folder, fetched from the first of the urls that answers unless it is there.

    advice: ends the UserError's message when none does: which file to put where.
    """
    name = urls[0].rsplit("/", 1)[1]
    target = cache_dir() / "downloads" / folder / name
    if target.is_file():  # pooch moves a file to its place only when its hash is right
        return target
    pooch.get_logger().setLevel("WARNING")
    failures = []
    for url in urls:
        try:
            return _fetch(url, md5, target)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
            failures.append(f"{url} ({_short(error)})")
    raise UserError(f"Could not download {name} from {' or '.join(failures)}. {advice}")


def _fetch(url: str, md5: str, target: Path) -> Path:
    log.info("Downloading %s", url)
    fetch = pooch.HTTPDownloader(progressbar=_Bar(target.name) if sys.stderr.isatty() else False)
    path = pooch.retrieve(url, known_hash=f"md5:{md5}", fname=target.name, path=target.parent, downloader=fetch)
    return Path(path)


def _short(error: Exception) -> str:
    text = str(error)
    if "does not match the known hash" in text:
        return "what came has a wrong hash"
    return type(error).__name__ if len(text) > 100 else text


class _Bar:
    """A progress bar of rich's, in the shape that pooch expects."""

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
