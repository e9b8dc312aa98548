import copy

import torch
from helpers.model_training import job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from torch.nn.functional import cross_entropy, pad

from ganrun.networks.tiles import far_permutations

SMALL = [
    "model=deshufflegan",
    "data=digits",
    "network.width=4",
    "batch_size=6",
    f"seed={SEED}",
    "optimizer.fused=false",
]


def deshuffling(d, x, order):
    """The cross entropy for images whose 9x9 tiles are moved one by one; the last row and column are background."""
    number = torch.randint(30, (len(x),))
    shuffled = torch.zeros(len(x), 1, 27, 27, dtype=x.dtype)
    for i in range(len(x)):
        for n, source in enumerate(order[number[i]].tolist()):
            tile = x[i, :, source // 3 * 9 : source // 3 * 9 + 9, source % 3 * 9 : source % 3 * 9 + 9]
            shuffled[i, :, n // 3 * 9 : n // 3 * 9 + 9, n % 3 * 9 : n % 3 * 9 + 9] = tile
    return cross_entropy(d(pad(shuffled, (0, 1, 0, 1), value=-1.0))[1], number)


def test_the_training_is_that_of_the_paper():
    job = job_of(*SMALL, "trainer.precision=64-true")
    start = copy.deepcopy(job.model).double()
    g, d, order = copy.deepcopy(start.generator), copy.deepcopy(start.discriminator), far_permutations(9, 30)
    d_optimizer, g_optimizer = (torch.optim.Adam(net.parameters(), 4e-4, (0.0, 0.999)) for net in (d, g))
    for _, batch in batches_of(job, torch.float64, 4):
        x = batch["x"]
        d_optimizer.zero_grad()
        real, fake = d(x)[0], d(g(torch.randn(6, 64, dtype=torch.float64)).detach())[0]
        hinge = (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
        (hinge + deshuffling(d, x, order)).backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        images = g(torch.randn(6, 64, dtype=torch.float64))
        (-d(images)[0].mean() + 0.5 * deshuffling(d, images, order)).backward()
        g_optimizer.step()
    train(job, 4)
    assert_moved(job.model, start)
    assert_same_weights(job.model.generator, g, atol=NEAR)
    assert_same_weights(job.model.discriminator, d, atol=NEAR)
