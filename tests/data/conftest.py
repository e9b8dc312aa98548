"""A cache folder of its own for every test, and a short way to a DataModule."""

import pytest

from ganrun.data.module import DataModule


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GANRUN_CACHE", str(folder))
    return folder


@pytest.fixture
def build():
    """source class, options -> DataModule; what the config would say otherwise has a default here."""

    def build_module(source, *, gives=("x", "y", "picture"), batch_size=4, seed=0, **options):
        settings = {"classes": None, "reference": ["train"], "flip": False, "device": "auto", "name": source.name}
        settings["shape"] = [options.get("channels", 3), options.get("size"), options.get("size")]
        return DataModule(source, gives=gives, batch_size=batch_size, seed=seed, **(settings | options))

    return build_module
