"""A mixture of Gaussians with full covariances."""

import warnings
from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from ganrun.errors import UserError

Parameters = tuple[Tensor, Tensor, Tensor]


class Gaussians(nn.Module):
    """The mixture with density sum_k shares[k] N(x; means[k], covariances[k]), of examples of `shape`.

    components: K.  regularization: is added to the variances, which keeps them from 0.
    """

    def __init__(self, shape: Sequence[int], components: int, regularization: float):
        super().__init__()
        self.shape, self.components, self.regularization = tuple(shape), components, regularization
        d = prod(shape)
        self.shares = nn.Parameter(torch.full((components,), 1 / components))
        self.means = nn.Parameter(torch.zeros(components, d))
        self.covariances = nn.Parameter(torch.eye(d).repeat(components, 1, 1))

    @torch.no_grad()
    def improve(self, x: Tensor, seed: int | None = None) -> tuple[Parameters, Tensor]:
        """Return shares, means and covariances after one iteration of EM on x [N, *shape], and log p(x) before it.

        seed: start from k-means clusters of x, with random numbers of this seed, instead of this mixture.
        The logarithm is the mean over x in nats. Raises UserError if scikit-learn is not installed.
        """
        estimator = build_estimator(
            n_components=self.components, reg_covar=self.regularization, max_iter=1, init_params="random"
        )
        if seed is None:
            shares, means, covariances = (w.double().cpu().numpy() for w in self.parameters())
            precisions = np.linalg.inv(covariances)
            precisions = (precisions + precisions.transpose(0, 2, 1)) / 2  # rounding leaves them not quite symmetric
            given = {"weights_init": shares / shares.sum(), "means_init": means, "precisions_init": precisions}
            estimator.set_params(**given, random_state=0)
        else:
            estimator.set_params(init_params="kmeans", random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one iteration does not converge
            estimator.fit(x.flatten(1).double().cpu().numpy())
        new = (estimator.weights_, estimator.means_, estimator.covariances_)
        parameters = [torch.as_tensor(a).to(w) for a, w in zip(new, self.parameters(), strict=True)]
        return (parameters[0], parameters[1], parameters[2]), torch.as_tensor(estimator.lower_bound_).to(self.shares)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return n examples: [n, *shape]. generator: of the CPU."""
        shares, means, covariances = (w.detach().double().cpu() for w in self.parameters())
        factors = torch.linalg.cholesky(covariances)
        component = torch.multinomial(shares, n, replacement=True, generator=generator)
        noise = torch.randn(n, means.shape[1], generator=generator, dtype=torch.float32).double()
        x = torch.empty_like(noise)
        for k, (mean, factor) in enumerate(zip(means, factors, strict=True)):
            is_k = component == k
            x[is_k] = mean + noise[is_k] @ factor.T
        return x.to(self.means).unflatten(1, self.shape)


def build_estimator(**settings):
    """Return scikit-learn's estimator of a mixture. Raises UserError if the package is not installed."""
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise UserError(
            "model=gmm and model=gaussian need scikit-learn. Install it: pip install 'ganrun[baselines]'"
        ) from error
    return GaussianMixture(**settings)
