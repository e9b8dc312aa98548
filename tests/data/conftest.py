"""A separate cache folder for each test, and a short way to build a DataModule."""

import pytest

from ganrun.data.decode import height_and_width
from ganrun.data.module import DataModule


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GANRUN_CACHE", str(folder))
    return folder


@pytest.fixture
def build():
    """A function (source class, options) -> DataModule, with defaults for the other settings of the config."""

    def build_module(source, *, gives=("x", "y", "picture"), batch_size=4, seed=0, **options):
        settings = {"classes": None, "reference": ["train"], "flip": False, "device": "auto", "name": source.name}
        sides = height_and_width(options["size"]) if "size" in options else [None, None]
        settings["shape"] = [options.get("channels", 3), *sides]
        return DataModule(source, gives=gives, batch_size=batch_size, seed=seed, **(settings | options))

    return build_module
