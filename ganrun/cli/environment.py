"""Checks of what the shell hands over besides the arguments' meaning: their encoding, and the variables of ranks."""

import logging
import os
from collections.abc import Iterable, MutableMapping

from ganrun.errors import UserError

log = logging.getLogger(__name__)
# Lightning, torchrun, Slurm, MPI and LSF number a training's processes by these, and Lightning reads them at import
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "SLURM_LOCALID", "JSM_NAMESPACE_RANK")
SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_NTASKS", "JSM_NAMESPACE_SIZE")
STARTERS = ("WORLD_SIZE", "MASTER_ADDR")  # whoever starts ranks sets one of these for them


def check_encoding(args: Iterable[str]) -> None:
    """Raise UserError for an argument that is not UTF-8: it could not be saved with a run."""
    for arg in args:
        if not arg.isprintable() and any("\ud800" <= character <= "\udfff" for character in arg):
            raise UserError(f"{arg} {explain_encoding(arg)}")


def explain_encoding(arg: str) -> str:
    try:
        os.fsencode(arg).decode()
    except UnicodeDecodeError:
        return "is not valid UTF-8, as run folders save it. Rename the file or folder."
    return "cannot be read in the encoding of this locale. Set the environment variable PYTHONUTF8=1."


def check_rank_variables(environ: MutableMapping[str, str]) -> None:
    """Remove variables that number the ranks of a training but are empty, or left from another.

    Raises UserError for a value that is not a whole number.
    """
    for name in (*RANKS, *SIZES, "MASTER_ADDR", "MASTER_PORT"):
        value = environ.get(name)
        if value is None or value.isdecimal() or (value and name.startswith("MASTER_")):
            continue
        if value.strip():
            raise UserError(
                f"The environment variable {name} must be a whole number, got {value}. Remove it: unset {name}"
            )
        del environ[name]
    ranks = {name: int(environ[name]) for name in ("RANK", "LOCAL_RANK", "NODE_RANK") if name in environ}
    is_left = not any(name in environ for name in STARTERS)
    too_high = [name for name, rank in ranks.items() if rank >= int(environ.get("WORLD_SIZE", rank + 1))]
    for name in ranks if is_left else too_high:
        if value := int(environ.pop(name)):
            log.warning(
                "Ignoring the environment variable %s=%d: no other processes of a training are named", name, value
            )
