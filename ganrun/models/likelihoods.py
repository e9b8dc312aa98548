"""What a decoder's output says of an example: p(x | z), of which an autoencoder maximizes the logarithm."""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from ganrun.models.losses import at_least_float32
from ganrun.networks.eval_mode import outside_autocast


def gaussian(output: Tensor, x: Tensor) -> Tensor:
    """-log N(x; output, I) without its constant, |x - output|^2 / 2: [B]. Kingma & Welling 2014, appendix C.2.

    output, x: [B, ...].
    """
    return (at_least_float32(output) - at_least_float32(x)).square().flatten(1).sum(1) / 2


def bernoulli(output: Tensor, x: Tensor) -> Tensor:
    """-log p(x) of independent numbers whose probability of 1 is (output + 1) / 2: [B]. Kingma 2014, appendix C.1.

    output, x: [B, ...] in [-1, 1]; a gray x counts as the share of white, as is usual.
    """
    with outside_autocast(output):
        p, white = (at_least_float32(output) + 1) / 2, (at_least_float32(x) + 1) / 2
        errors = binary_cross_entropy(p, white, reduction="none")
    return errors.flatten(1).sum(1)


LIKELIHOODS = {"gaussian": gaussian, "bernoulli": bernoulli}
