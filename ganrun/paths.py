"""Folders, files and CPUs of this machine."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def conf_dir() -> Path:
    """Return the folder of the configs: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def cache_dir() -> Path:
    """Return the folder of prepared data, downloads and statistics: $GANRUN_CACHE, else ~/.cache/ganrun."""
    return Path(os.environ.get("GANRUN_CACHE") or "~/.cache/ganrun").expanduser()


def assets_dir() -> Path:
    """Return the folder of the digits and the classifier that come with the package."""
    return Path(__file__).resolve().parent / "assets"


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def replacing(path: Path, suffix: str = "partial") -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` at the end; after an error `path` is unchanged.

    suffix: of the temporary file; must differ between processes that may write to `path` at the same time.
    """
    partial = path.with_name(f".{path.name}.{suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """Write the file as a whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(text.encode())


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
