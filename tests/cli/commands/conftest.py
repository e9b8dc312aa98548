"""Fixtures that call the real command, with the real configs, in an empty working folder."""

import sys
from types import SimpleNamespace

import pytest

from ganrun.cli.main import main

RANK_VARIABLES = ("GANRUN_FOLDER", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_PORT")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """A cache folder for all tests of the commands, so that statistics of data sets are computed once."""
    return tmp_path_factory.mktemp("ganrun-cache")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, shared_cache):
    """A working folder shared by the tests of a module."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRUN_CACHE", str(shared_cache))
        patch.setattr(sys, "path", [*sys.path])
        patch.chdir(folder)
        yield folder


@pytest.fixture
def train(cli):
    """Trains, and returns the run folder."""

    def train(*args, folder="run"):
        assert cli.run("train", *args, f"folder={folder}") == 0
        return cli.folder / folder

    return train


@pytest.fixture
def cli(tmp_path, shared_cache, monkeypatch):
    """`cli.run(...)` calls `ganrun` in this process; `cli.folder` is its empty working folder."""
    monkeypatch.setenv("GANRUN_CACHE", str(shared_cache))
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return SimpleNamespace(run=lambda *args: main(args), folder=folder)
