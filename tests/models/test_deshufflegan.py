import copy

import torch
from helpers.model_training import job_of, train
from torch.nn.functional import cross_entropy, pad

from ganrun.networks.tiles import far_permutations
from ganrun.seeds import seed_training_noise

SMALL = ["model=deshufflegan", "data=digits", "network.width=4", "batch_size=6", "optimizer.fused=false"]
CPU = torch.device("cpu")


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
    for number in range(4):
        x = job.data.batch(number)["x"].double()
        seed_training_noise(CPU, 0, 0, number)
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
    for network, expected, old in (
        (job.model.generator, g, start.generator),
        (job.model.discriminator, d, start.discriminator),
    ):
        for w, v, before in zip(network.parameters(), expected.parameters(), old.parameters(), strict=True):
            assert torch.allclose(w, v, rtol=0, atol=1e-9)
            assert w.ndim == 1 or not torch.equal(w, before)
