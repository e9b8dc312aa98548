import pytest
import torch


@pytest.fixture
def seeded_stream():
    """torch's global random stream, seeded with 3 and restored afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield
