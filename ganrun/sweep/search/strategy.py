"""How a sweep chooses its points: the interface, and the grid."""

from abc import ABC, abstractmethod
from collections.abc import Collection

from ganrun.errors import Failure
from ganrun.sweep.search.space import SearchSpace


class StudyUnreachable(Failure):
    """The study's database cannot be reached now, though it could be before."""


class SearchStrategy(ABC):
    """Proposes points, which are known by their numbers, and is told their scores.

    `propose` and `report` raise StudyUnreachable if the call may be tried again.
    """

    is_known: bool  # whether all points are known before any of them has been trained

    @property
    @abstractmethod
    def total(self) -> int:
        """The number of points that this sweep trains."""

    @abstractmethod
    def propose(self, known: Collection[int]) -> tuple[int, dict[str, str]] | None:
        """Return the number and values of a point that is not among `known`; None if there is none left."""

    def report(self, number: int, score: float) -> None:  # noqa: B027
        """Record the score of a point whose jobs have finished; NaN if it has none."""

    def describe_others(self) -> str:
        """Return what other sweeps have done in the same study; "" if there are none."""
        return ""

    def delete(self) -> bool:
        """Delete what the strategy has stored. Return False if others use it, too."""
        return True


class GridSearch(SearchStrategy):
    """All combinations of the values, in order."""

    is_known = True

    def __init__(self, space: SearchSpace):
        self.points = space.grid()

    @property
    def total(self) -> int:
        return len(self.points)

    def propose(self, known: Collection[int]) -> tuple[int, dict[str, str]] | None:
        number = len(known)  # points are proposed in order
        return (number, self.points[number]) if number < self.total else None
