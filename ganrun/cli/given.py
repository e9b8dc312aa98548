"""What the user gives on the command line of the running job, as opposed to defaults."""

from collections.abc import Iterable

from hydra.core.hydra_config import HydraConfig

from ganrun.config.overrides import override_keys
from ganrun.errors import UserError


def given_settings() -> set[str]:
    """Return the keys that the command sets."""
    return override_keys(HydraConfig.get().overrides.task)


def refuse_given(settings: Iterable[str], reason: str) -> None:
    """Raise UserError if the command sets one of these, which is not read for this reason."""
    for setting in sorted(given_settings() & {*settings}):
        raise UserError(f"{setting}= has no effect here: {reason}. Leave it out.")
