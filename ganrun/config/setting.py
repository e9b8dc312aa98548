"""What is known of one setting, and values that several settings have."""

from dataclasses import dataclass

from ganrun.config import value_types as types
from ganrun.config.value_types import COUNT, ValueType, list_of, number


@dataclass(frozen=True)
class Setting:
    """What ganrun knows of a setting.

    allowed: the values that it may have; None: the class that takes the setting checks them.
    of_own_class: `allowed` holds for the classes of ganrun and torch; a user's class may give the name another meaning.
    resumable: `ganrun resume` may change it; it decides how long, where or how verbosely a run goes on, not its result.
    compared: `ganrun compare` tells runs apart by it; None: unless it is resumable.
    in_sweep_identity: a setting of `sweep` that makes another sweep when it changes.
    fixed_by_protocol: a score claims the name of its evaluation protocol only with the protocol's own value.
    in_hparams: it is a column of TensorBoard's HParams table.
    """

    allowed: ValueType | None = None
    of_own_class: bool = False
    resumable: bool = False
    compared: bool | None = None
    in_sweep_identity: bool = True
    fixed_by_protocol: bool = False
    in_hparams: bool = False

    @property
    def is_compared(self) -> bool:
        return not self.resumable if self.compared is None else self.compared


POSITIVE, POSITIVE_OR_NULL = number(above=0), number(above=0, optional=True)
NOT_NEGATIVE = number(least=0)
SHARE, WHOLE_OR_NULL = types.SHARE, number(least=1, whole=True, optional=True)
SHAPE = list_of(COUNT, "integers of at least 1, such as [1,28,28]")
