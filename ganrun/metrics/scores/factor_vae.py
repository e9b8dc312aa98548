"""The factor-VAE score: whether the code that varies least tells which factor is held fixed."""

import torch
from torch import Tensor

from ganrun.metrics.scores import Score

BATCH, FITTED, SCORED = 64, 10_000, 5_000  # pictures in a batch; batches from which codes get their factors; others
COLLAPSED = 0.05  # standard deviation of a code that is left out, in that of the code that varies most
AT_ONCE = 500  # batches in memory
FACTOR_VAE = Score(
    "factor_vae",
    better="higher",
    note="share of batches with a fixed factor that the least varying code names",
    settings=lambda samples: {"factor_vae_batches": [FITTED, SCORED], "factor_vae_batch_size": BATCH},
)


def factor_vae_score(codes: Tensor, factors: Tensor, generator: torch.Generator) -> float:
    """Return the share of batches whose fixed factor a majority vote finds: 0..1, about 1/k for random codes.

    codes: [n, d].   factors: whole numbers, int64 [n, k].
    Kim & Mnih 2018, section 4, with the counts of Locatello et al. 2019, appendix B. 0 if no code varies, as theirs.
    Departures: batches are drawn from the n examples, with replacement; and a code is left out for a deviation below
    0.05 of the largest one instead of 0.05, so that the scale of the codes, which an autoencoder is free to choose,
    does not count.
    """
    deviation = codes.std(0)
    if not deviation.any():
        return 0.0
    is_active = deviation >= COLLAPSED * deviation.max()
    scaled = codes[:, is_active] / deviation[is_active]
    factor_of_code = count_votes(scaled, factors, FITTED, generator).argmax(0)
    votes = count_votes(scaled, factors, SCORED, generator)
    return (votes.gather(0, factor_of_code[None]).sum() / votes.sum()).item()


def count_votes(codes: Tensor, factors: Tensor, batches: int, generator: torch.Generator) -> Tensor:
    """Count how often each code varies least in batches that hold each factor fixed: int64 [k, d].

    codes: [n, d], of unit variance.   The factor of a batch and the example that has its value are drawn uniformly.
    """
    n, k = factors.shape
    fixed, votes = torch.randint(k, (batches,), generator=generator), []
    for j, values in enumerate(factors.T):
        by_value, counts = values.argsort(), values.bincount()
        starts = counts.cumsum(0) - counts
        least = [torch.zeros(0, dtype=torch.long)]
        for part in torch.randint(n, (int((fixed == j).sum()),), generator=generator).split(AT_ONCE):
            value = values[part, None]
            share = torch.rand(len(part), BATCH, generator=generator, dtype=torch.float64)
            rows = by_value[starts[value] + (share * counts[value]).long()]
            least.append(codes[rows].var(1).argmin(1))
        votes.append(torch.cat(least).bincount(minlength=codes.shape[1]))
    return torch.stack(votes)
