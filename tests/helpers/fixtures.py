"""Fixtures that several test folders share; their conftest.py imports them."""

import pytest
import torch

from ganrun.training.session import silence_libraries


@pytest.fixture(scope="session", autouse=True)
def model_cache(tmp_path_factory):
    """One cache folder for all tests of a session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRUN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def one_quiet_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    silence_libraries()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fixed_seed():
    """Seed torch's default generator; restore its state afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
