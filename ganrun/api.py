"""The Python API: load a trained model, train one, list runs.

    import ganrun

    run = ganrun.train(["model=cgan", "data=digits", "minutes=3"])
    model = ganrun.load(run.folder)
    images = model.sample(16, y=7)  # float [16, 1, 28, 28] in [-1, 1]

`import ganrun` imports neither torch nor Hydra; the first use of one of these functions does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from omegaconf import OmegaConf

from ganrun.cli.arguments import parse_command
from ganrun.cli.hydra_app import call_command
from ganrun.errors import UntrustedError, UserError
from ganrun.files import is_unfinished, outputs_dir
from ganrun.sweep.report import results
from ganrun.training import checkpoint
from ganrun.training.export.card_file import find_bundle
from ganrun.training.inference import TrainedModel, load_trained_model
from ganrun.training.manifest import Manifest
from ganrun.training.run_folder import has_strays, read_status
from ganrun.training.runs.states import observe_state


@dataclass(frozen=True)
class Run:
    """A run folder: how far its training came, and its scores.

    state: running, done, failed, interrupted or pruned; dead if its process was killed, elsewhere if it seems to run on
    another machine.   kimg: thousands of images seen.
    metric: the score that names the best checkpoint, None if nothing is scored.   score: its best value, else NaN.
    best, last: all scores at the best and at the last scoring, such as {"val/fd_lenet": 5.6, "val/is_lenet": 9.7}.
    """

    folder: str
    state: str
    model: str
    data: str
    seed: int | None
    kimg: float
    seconds: float
    images_per_second: float
    metric: str | None
    score: float
    best: dict[str, float]
    last: dict[str, float]


def load(
    run: str | PathLike[str] = "last", which: str = "best", device: str = "auto", trust: bool = False
) -> TrainedModel:
    """Load a trained model.

    run: a run folder, a checkpoint file, "last" for the newest run below outputs/, or what `ganrun export` has written.
    which: the checkpoint of a run folder, "best" or "last". A run without scores has no best one: its last is loaded.
    device: "auto", "cpu", "cuda" or "mps".   trust: build classes that are not ganrun's own, which runs their code,
    and follow links that lead out of the run folder.
    Raises UserError if there is no such run, or if its checkpoint cannot be read.
    """
    try:
        if which == "best" and find_bundle(str(run)):
            which = "last"
        elif which == "best":
            last = checkpoint.find_checkpoint(str(run), trust=trust, uses_registry=True)
            run = last.parent.parent if str(run) == "last" else run
            which = "best" if Manifest.read(last.parent).best else "last"
        return load_trained_model(OmegaConf.create({"run": str(run), "which": which, "device": device, "trust": trust}))
    except UntrustedError as error:
        raise UntrustedError(error.advice, f"ganrun.load({str(run)!r}, trust=True)") from None


def train(overrides: Sequence[str], config_dir: str | PathLike[str] | None = None) -> Run:
    """Train in this process, as `ganrun train OVERRIDES` does, and return the run with its scores.

    overrides: such as ["model=cgan", "data=digits", "minutes=3"].   config_dir: a folder with your own configs.
    Raises UserError for settings that cannot work, before anything is written, and Failure if the training fails.
    """
    flags = {"--config-dir": str(config_dir)} if config_dir else {}
    return describe_run(call_command(parse_command("train", False, flags, [*overrides])))


def runs(outputs: str | PathLike[str] | None = None) -> list[Run]:
    """List the runs below a folder, the oldest first. Folders that cannot be read as runs are left out.

    outputs: the folder; None for the one that ganrun writes to, `outputs` or $GANRUN_OUTPUTS.
    A list of dataclasses: pandas.DataFrame(ganrun.runs()) has a row per run.
    """
    root = outputs_dir() if outputs is None else Path(outputs)
    paths = sorted(root.glob(f"**/{checkpoint.STATUS}"), key=lambda path: path.lstat().st_mtime)
    folders = [path.parent for path in paths if not is_unfinished(path)]
    return [describe_run(folder) for folder in folders if not has_strays(folder) and read_status(folder)]


def describe_run(folder: str | PathLike[str]) -> Run:
    """The run in a run folder. Raises UserError if there is none."""
    path = Path(folder)
    status, result = read_status(path), results.load_result(path)
    if not status:
        raise UserError(f"{path} is not a run folder: it has no {checkpoint.STATUS}. ganrun.runs() lists the runs.")
    choices = status.get("choices", {})
    return Run(
        folder=str(path),
        state=str(observe_state(path, status)),
        model=choices.get("model", ""),
        data=choices.get("data", ""),
        seed=result.seed,
        kimg=status.get("kimg", 0.0),
        seconds=status.get("seconds", 0.0),
        images_per_second=status.get("images_per_second", 0.0),
        metric=result.metric,
        score=result.score,
        best=status.get("best", {}),
        last=status.get("last", {}),
    )
