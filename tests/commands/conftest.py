"""Calls the real command, with the real configs, in a working folder of its own."""

import sys
from types import SimpleNamespace

import pytest

from ganrun.cli import main

RANK_VARIABLES = ("GANRUN_FOLDER", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_PORT")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """A cache folder for all tests of the commands: what is measured once stays known."""
    return tmp_path_factory.mktemp("ganrun-cache")


@pytest.fixture
def house(tmp_path, shared_cache, monkeypatch):
    """.run calls `ganrun` in-process in the empty folder .folder."""
    monkeypatch.setenv("GANRUN_CACHE", str(shared_cache))
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return SimpleNamespace(run=lambda *words: main(words), folder=folder)
