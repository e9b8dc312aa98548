"""Ways from one latent to another. Latents are [n, z_dim]; the share of the way is [n, 1], from 0 to 1."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ganrun.networks.conditional import one_hot

Way = Callable[[Tensor, Tensor, Tensor], Tensor]
NEARLY = 1e-6  # sine of the angle between two directions that are taken for the same one, or for opposite ones


def straight(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Return the points of the line from a to b."""
    return a + share * (b - a)


def along_sphere(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Return the points of the arc from a to b around 0. Shoemake 1985; White 2016, section 2.1.

    Departure: the length goes straight from that of a to that of b, where White's formula lets it dip and overshoot if
    they differ and the angle is obtuse. Opposite latents, and 0, have no shortest arc: their path is the line.
    """
    angle = cosine_similarity(a, b).clamp(-1, 1).acos()[:, None]
    sine = angle.sin()
    from_length, to_length = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    arc = (((1 - share) * angle).sin() * a / from_length + (share * angle).sin() * b / to_length) / sine
    is_arc = (sine > NEARLY) & (from_length > 0) & (to_length > 0)
    return torch.where(is_arc, straight(from_length, to_length, share) * arc, straight(a, b, share))


def gaussian_numbers(drawn: Tensor) -> Tensor:
    """Return which numbers of these latents [n, z_dim] leave [-1, 1]: bool [z_dim]. It takes some tens of latents."""
    return drawn.abs().amax(dim=0) > 1


def along_noise(drawn: Tensor) -> Way:
    """Return the way that suits the noise of these latents [n, z_dim]: the sphere for those numbers that are Gaussian.

    Numbers that never leave [-1, 1], such as uniform ones and a category's, go straight.
    """
    is_gaussian = gaussian_numbers(drawn)

    def way(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        path = straight(a, b, share)
        if is_gaussian.any():
            path[:, is_gaussian] = along_sphere(a[:, is_gaussian], b[:, is_gaussian], share)
        return path

    return way


def walk(points: Tensor, share: Tensor, way: Way) -> Tensor:
    """Return the points at each share [s, 1] of the way from each of k points [k, n] to the next: [(k - 1) * s, n]."""
    starts, ends = (part.repeat_interleave(len(share), dim=0) for part in (points[:-1], points[1:]))
    return way(starts, ends, share.repeat(len(points) - 1, 1))


def conditions_along(conditions: Mapping[str, Tensor], share: Tensor, classes: int | None) -> dict[str, Tensor]:
    """Return what the points of `walk` are made of besides z: {key: [(k - 1) * s, ...]}.

    conditions: of the k points, {key: [k, ...]}; each leg has those of its start.  classes: their number, if the
    generator takes weights of them. Labels y that differ then become weights [., classes], which go straight from one
    to the other.
    """
    found = {key: value[:-1].repeat_interleave(len(share), dim=0) for key, value in conditions.items()}
    y = conditions.get("y")
    if y is not None and classes is not None and (y != y[:1]).any():
        found["y"] = walk(one_hot(y, classes, share), share, straight)
    return found
