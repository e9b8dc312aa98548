import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder for each test."""
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory):
    from helpers.weights import write_random_inception

    return write_random_inception(tmp_path_factory.mktemp("weights") / "inception.pth")
