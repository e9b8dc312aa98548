"""The Frechet distance of two sets of features from their means and covariances."""

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

ROUNDING = 1e-12  # of the terms of a distance in float64, relative to their sum


def cholesky_factor(covariance: Tensor) -> Tensor:
    """Return a lower triangular L with L L^T = covariance, [d, d]; from eigenvalues if the covariance is singular."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        values, vectors = torch.linalg.eigh(covariance)
        factor = torch.linalg.qr((vectors * values.clamp(min=0).sqrt()).T).R.T
    return factor


def trace_of_sqrt(factor: Tensor, covariance: Tensor, block: int = 256) -> Tensor:
    """Trace of the matrix square root of L L^T s, for a lower triangular L and a covariance s, both [d, d]: scalar.

    L L^T s and L^T s L have the same eigenvalues, and the latter is symmetric. eigvalsh reads only its lower triangle,
    which takes a third of the multiplications: block column i needs L's rows from i on.
    """
    product = torch.zeros_like(covariance)
    for start in range(0, len(covariance), block):
        rest, columns = slice(start, None), slice(start, start + block)
        product[rest, columns] = factor[rest, rest].T @ (covariance[rest, rest] @ factor[rest, columns])
    return torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()


def frechet_distance(mean1: Tensor, s1: Tensor, mean2: Tensor, s2: Tensor, factor: Tensor | None = None) -> Tensor:
    """|mean1 - mean2|^2 + Tr(s1 + s2 - 2 (s1 s2)^(1/2)): scalar, at least 0. Heusel et al. 2017, eq. 6.

    factor: `cholesky_factor(s1)`, if known.
    """
    root = trace_of_sqrt(cholesky_factor(s1) if factor is None else factor, s2)
    distance = (mean1 - mean2).square().sum() + s1.trace() + s2.trace() - 2 * root
    return drop_rounding(distance, mean1, mean2, s1.trace() + s2.trace())


def drop_rounding(distance: Tensor, mean1: Tensor, mean2: Tensor, traces: Tensor) -> Tensor:
    """Return a Frechet distance, or 0 if it is no more than rounding, as between a set and its own copy.

    traces: the sum of both covariances' traces. NaN stays NaN.
    """
    rounding = ROUNDING * (traces + mean1.square().sum() + mean2.square().sum())
    return distance.where((distance > rounding) | distance.isnan(), torch.zeros_like(distance))


def moments(total: Tensor, outer: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [d] and unbiased covariance [d, d] from the sum [d], the sum of outer products [d, d] and the count."""
    mean = total / count
    return mean, torch.addr(outer, mean, mean, alpha=-count.item()).div_(count - 1)


class IdentityFeatures(nn.Identity):
    """Replaces the feature network of torchmetrics classes, because their inputs here are already features."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features


class FrechetDistance(FrechetInceptionDistance):
    """torchmetrics' FID on features [N, d] instead of images, with a faster matrix square root and a float64 result."""

    def __init__(self, num_features: int, **options):
        super().__init__(IdentityFeatures(num_features), reset_real_features=False, **options)

    def load_real(self, total: Tensor, outer: Tensor, count: Tensor) -> None:
        """Set the sums over the real features instead of updating. Under DDP on one rank only: ranks are summed."""
        self.real_features_sum = total.to(self.real_features_sum)
        self.real_features_cov_sum = outer.to(self.real_features_cov_sum)
        self.real_features_num_samples = count.to(self.real_features_num_samples)
        self._update_count += 1

    def sums(self) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
        """For the real and for the fake features: their sum [d], sum of outer products [d, d] and count."""
        return (
            (self.real_features_sum, self.real_features_cov_sum, self.real_features_num_samples),
            (self.fake_features_sum, self.fake_features_cov_sum, self.fake_features_num_samples),
        )

    def compute(self) -> Tensor:
        real, fake = self.sums()
        return frechet_distance(*moments(*real), *moments(*fake))

    def diversity(self) -> Tensor:
        """Root mean squared distance of two generated features, divided by that of two real ones: scalar.

        The mean squared distance of two independent samples is twice the trace of their covariance.
        """
        with self.sync_context(should_sync=self._to_sync):
            traces = [
                (outer.trace() - total.square().sum() / count) / (count - 1) for total, outer, count in self.sums()
            ]
            return (traces[1].clamp(min=0) / traces[0]).sqrt()
