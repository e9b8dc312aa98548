"""What the tests share that compare a training with a loop of plain torch from the same weights and noise."""

import torch

from ganrun.seeds import seed_training_noise

SEED = 3
CPU = torch.device("cpu")
NEAR = 1e-9


def assert_same_weights(network, expected, atol=0.0):
    for (name, found), wanted in zip(network.state_dict().items(), expected.state_dict().values(), strict=True):
        if atol:
            assert torch.allclose(found, wanted, rtol=0, atol=atol), (name, (found - wanted).abs().max())
        else:
            assert torch.equal(found, wanted), name


def assert_moved(network, start):
    """All matrices did; a vector may stay, as the last bias of a critic, which adds as much to real as to fake."""
    for w, v in zip(network.parameters(), start.parameters(), strict=True):
        assert w.ndim == 1 or not torch.equal(w, v)


def batches_of(job, dtype, count):
    """Number and content of each batch, with torch's default generator seeded as in training."""
    for k in range(count):
        batch = job.data.batch(k)
        seed_training_noise(CPU, SEED, 0, k)
        yield k, {key: value.to(dtype) if value.is_floating_point() else value for key, value in batch.items()}
