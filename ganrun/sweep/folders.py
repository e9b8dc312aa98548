"""The folders of a sweep and of its jobs."""

import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

LONGEST_NAME = 120
flags: dict[str, str] = {}  # of the command that sweeps
words: list[str] = []  # and its settings
outcomes: list[tuple[str, int]] = []  # name and exit code of each job that ganrun's own sweeper has run
opened: dict[
    Path, list[Path]
] = {}  # folder of a sweep under way: those of it and its parents that were not there before


class SweepFolder(Callback):
    """Notes the folder that Hydra is about to make, so that `remove_empty` finds it if all jobs are refused."""

    def on_multirun_start(self, config: DictConfig, **_) -> None:
        with suppress(OmegaConfBaseException):  # Hydra itself says what is wrong with the name
            folder = Path(config.hydra.sweep.dir)
            opened[folder] = missing(folder)


def remove_empty() -> None:
    """Removes a new sweep's folder if it holds nothing but Hydra's multirun.yaml, and the parents made for it."""
    while opened:
        folder, new = opened.popitem()
        if folder in new and folder.is_dir() and {path.name for path in folder.iterdir()} <= {"multirun.yaml"}:
            remove(new)


def missing(folder: Path) -> list[Path]:
    """The folder and its parents, from the inside, as far as they are not there."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove(new: Sequence[Path]) -> None:
    """Removes a new folder, the first of these, with all in it, and the parents that were made for it and are empty."""
    shutil.rmtree(new[0])
    for path in new[1:]:
        if not any(path.iterdir()):
            path.rmdir()


def fixed_keys(overrides: list[str]) -> set[str]:
    """The keys that all jobs share: those overrides of the command line that are no sweep."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return {override.get_key_element() for override in parsed if not override.is_sweep_override()}


def swept(job_overrides: list[str], fixed: set[str]) -> dict[str, str]:
    """What this job has of its own: {key: value}."""
    pairs = (override.partition("=")[::2] for override in job_overrides)
    return {key: value for key, value in pairs if key not in fixed}


def job_name(number: int, values: dict[str, str]) -> str:
    """A folder name without `=`, `,` or `/`, such as 3-lr-0.0002+seed-1: the job's number and its own values."""
    pairs = [f"{name}-{plain(value)}" for name, value in zip(short_names(values), values.values(), strict=True)]
    return "-".join([str(number), "+".join(pairs)] if pairs else [str(number)])[:LONGEST_NAME]


def short_names(keys: Iterable[str]) -> list[str]:
    """The keys' last parts, betas.0 among them, or the whole keys where two would be the same."""
    keys = [key.lstrip("+~") for key in keys]
    last = [re.search(r"[^.]*(\.\d+)?$", key)[0] for key in keys]
    return [plain(short if last.count(short) == 1 else key) for key, short in zip(keys, last, strict=True)]


def plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text.strip("'\"[]{}()")).strip("_")


def shortened(value: str) -> str:
    """A value for a name or a table: a number of many digits with four."""
    try:
        return value if len(value) < 8 else f"{float(value):.4g}"
    except ValueError:
        return value
