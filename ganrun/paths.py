"""Where things lie on disk: the configs and the cache."""

import os
from pathlib import Path


def conf_dir() -> Path:
    """The folder of the configs: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def cache_dir() -> Path:
    """The folder of prepared data, downloads and statistics: $GANRUN_CACHE, else ~/.cache/ganrun."""
    return Path(os.environ.get("GANRUN_CACHE") or "~/.cache/ganrun").expanduser()


def assets_dir() -> Path:
    """The folder of the digits and the classifier that come with the package."""
    return Path(__file__).resolve().parent / "assets"
