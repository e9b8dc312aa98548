"""Functions f(x, y) of the plane, on which x plays for a small value and y for a large one."""

from collections.abc import Callable

from torch import Tensor

from ganrun.errors import UserError, did_you_mean

Surface = Callable[[Tensor, Tensor], Tensor]
SURFACES: dict[str, Surface] = {
    "xy": lambda x, y: x * y,  # the simplest game: its equilibrium (0, 0) is not reached by descent-ascent
    "saddle": lambda x, y: x**2 - y**2 + x * y,  # convex in x and concave in y: descent-ascent converges
    "quartic": lambda x, y: x**4 - x**2 - y**2,  # two equilibria, and at (0, 0) a point that is none
    "valley": lambda x, y: (x - y) ** 2,  # x follows y, which flees
    "bowl": lambda x, y: x**2 + y**2,  # y has no best answer
}


def find_surface(name: str) -> Surface:
    """Return the function of this name. Raises UserError if there is none."""
    if name not in SURFACES:
        raise UserError(f"Unknown data.surface={name}.{did_you_mean(name, SURFACES)}")
    return SURFACES[name]
