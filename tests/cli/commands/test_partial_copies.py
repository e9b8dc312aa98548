"""Run folders that lack files or hold damaged ones, as after a partial copy: nothing is lost, each command goes on."""

import csv
import importlib
import json
import pickle
import shutil
from types import NoneType

import pytest
import torch
from helpers.paused_run import PausedRun, run_uninterrupted
from helpers.runs import SHORT, equal, lines, load_checkpoint, rewind, status, weights
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganrun
from ganrun.cli.main import main
from ganrun.errors import UserError
from ganrun.training.checkpoint_io import read_checkpoint
from ganrun.training.manifest import Manifest

TRAIN = [*SHORT, "checkpoint.every_kimg=0.04", "validate_kimg=0.1"]
DAMAGES = {
    "missing": lambda path: path.unlink(missing_ok=True),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "binary": lambda path: path.write_bytes(b"\xff\x00\xfe" * 9),
    "a list": lambda path: path.write_text("[1, 2]\n"),
    "nothing in it": lambda path: path.write_text("{}\n"),
    "other types": lambda path: path.write_text('{"last": 3, "state": {}, "kimg": "x", "choices": 3, "kept": "a"}\n'),
}
FILES = ["checkpoints/manifest.json", "status.json", "config.yaml", "metrics.jsonl"]


@pytest.fixture(scope="module")
def whole(workplace):
    """An uninterrupted run that keeps every checkpoint."""
    assert main(["train", *TRAIN, "folder=whole"]) == 0
    return workplace / "whole"


@pytest.fixture
def run(whole, tmp_path, monkeypatch):
    """The run as a crash after 0.2 kimg would leave it, without the checkpoints that came later."""
    monkeypatch.chdir(tmp_path)
    run = rewind(whole, tmp_path / "run", 0.2)
    for path in (run / "checkpoints").glob("*.ckpt"):
        if path.name > "kimg000000.200.ckpt":
            path.unlink()
    return run


def checkpoints(run):
    return {path.name: path.read_bytes() for path in (run / "checkpoints").glob("*.ckpt")}


@pytest.mark.parametrize("damage", [pytest.param(d, marks=() if d == "missing" else pytest.mark.slow) for d in DAMAGES])
@pytest.mark.parametrize("name", FILES)
def test_a_run_with_one_bad_file_is_resumed_bit_for_bit_and_loses_no_checkpoint(run, whole, capsys, name, damage):
    DAMAGES[damage](run / name)
    before = checkpoints(run)
    assert main(["sample", "run", "n=4", "out=samples"]) == 0
    assert main(["resume", "run"]) == 0
    assert "resuming from run/checkpoints/kimg000000.200.ckpt" in capsys.readouterr().err
    assert equal(weights(run), weights(whole))
    assert status(run)["state"] == "done"
    assert status(run)["choices"] == status(whole)["choices"]
    assert (run / "config.yaml").read_text().replace("folder: run", "") == (whole / "config.yaml").read_text().replace(
        "folder: whole", ""
    )
    if name == "checkpoints/manifest.json":
        assert before.items() <= checkpoints(run).items()
    if name != "metrics.jsonl":
        assert status(run)["best"] == status(whole)["best"]
        assert len(lines(run, "protocol")) == len(lines(whole, "protocol"))


@pytest.mark.parametrize("verb", ["resume", "train"])
def test_a_run_of_checkpoints_alone_is_resumed_bit_for_bit(run, whole, capsys, verb):
    for path in run.iterdir():
        if path.name != "checkpoints":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / "checkpoints" / "manifest.json").unlink()
    before = checkpoints(run)
    assert main(["resume", "run"] if verb == "resume" else ["train", *TRAIN, "folder=run", "resume=true"]) == 0
    message = capsys.readouterr().err
    assert "manifest.json is missing: using run/checkpoints/kimg000000.200.ckpt" in message
    assert "run lacks status.json and config.yaml and metrics.jsonl, which are written again" in message
    assert equal(weights(run), weights(whole))
    assert before.items() <= checkpoints(run).items()
    manifest = Manifest.read(run / "checkpoints")
    assert manifest.last == "kimg000000.400.ckpt"
    assert set(before) <= manifest.names


def test_a_newest_checkpoint_that_is_damaged_is_passed_over_and_kept(run, whole, capsys):
    (run / "checkpoints" / "manifest.json").unlink()
    newest = run / "checkpoints" / "kimg000000.200.ckpt"
    newest.write_bytes(newest.read_bytes()[:1000])
    (run / "checkpoints" / "notes.ckpt").write_text("mine")
    assert main(["eval", "run"]) == 0
    assert "kimg000000.160.ckpt, the newest checkpoint there that can be read" in capsys.readouterr().err
    assert newest.stat().st_size == 1000
    assert main(["resume", "run"]) == 0
    assert equal(weights(run), weights(whole))
    assert (run / "checkpoints" / "notes.ckpt").read_text() == "mine"


def test_without_one_that_can_be_read_nothing_is_trained_or_removed(run, capsys):
    (run / "checkpoints" / "manifest.json").unlink()
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"damaged")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    for args in (["resume", "run"], ["train", *TRAIN, "folder=run", "resume=true"], ["sample", "run"], ["eval", "run"]):
        assert main(args) == 2
        message = capsys.readouterr().err
        assert "manifest.json is missing" in message
        assert "kimg000000.040.ckpt cannot be read as a checkpoint (it is not an archive of tensors)" in message
    assert {path: path.read_bytes() for path in before} == before


def test_the_best_is_unknown_without_a_manifest_and_known_again_after_a_resume(run, whole, capsys):
    (run / "checkpoints" / "manifest.json").unlink()
    assert main(["sample", "run", "which=best"]) == 2
    assert "manifest.json is missing, so the best checkpoint is unknown. Use which=last" in capsys.readouterr().err
    assert ganrun.load(run).path.name == "kimg000000.200.ckpt"
    assert main(["resume", "run"]) == 0
    assert Manifest.read(run / "checkpoints").best == Manifest.read(whole / "checkpoints").best
    assert ganrun.load(run).path.name == Manifest.read(whole / "checkpoints").best


def test_the_best_survives_the_loss_of_the_scores(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, "run")
    run, folder = tmp_path / "run", tmp_path / "run" / "checkpoints"
    manifest = json.loads((folder / "manifest.json").read_text())
    best = {"kimg": 0.12, "value": 99.0 if manifest["mode"] == "max" else -99.0}
    roles = {"last": "kimg000000.200.ckpt", "previous": None, "best": "kimg000000.120.ckpt", "kept": []}
    (folder / "manifest.json").write_text(json.dumps({**manifest, **roles, "scores": {"best": best}}))
    (run / "status.json").write_text(json.dumps({**status(run), "state": "running"}))
    (run / "metrics.jsonl").unlink()
    assert main(["resume", "run"]) == 0
    assert Manifest.read(folder).best == "kimg000000.120.ckpt"
    assert Manifest.read(folder).scores["best"] == best
    assert load_checkpoint(run, which="best")["seen"]["images"] == 120


def test_an_older_manifest_offers_the_newer_checkpoints_and_keeps_them(run, whole, capsys):
    shutil.copy(whole / "checkpoints" / "kimg000000.360.ckpt", run / "checkpoints")
    assert main(["sample", "run", "n=4", "out=samples"]) == 0
    assert "kimg000000.360.ckpt is newer, but not in manifest.json" in capsys.readouterr().err
    assert main(["resume", "run/checkpoints/kimg000000.360.ckpt"]) == 0
    assert equal(weights(run), weights(whole))


def test_a_branch_starts_from_a_checkpoint_without_a_manifest(run, capsys):
    (run / "checkpoints" / "manifest.json").unlink()
    before = checkpoints(run)
    assert main(["resume", "run", "branch=true", "kimg=0.24", "folder=branch"]) == 0
    assert load_checkpoint(run.parent / "branch")["seen"]["images"] == 240
    assert checkpoints(run) == before
    assert not (run / "checkpoints" / "manifest.json").exists()


def test_last_finds_a_copy_without_json_files(run, capsys):
    shutil.move(run, run.parent / "outputs" / "train" / "copy")
    copy = run.parent / "outputs" / "train" / "copy"
    for path in [*copy.rglob("*.json")]:
        path.unlink()
    assert main(["sample", "last", "n=4", "out=samples"]) == 0
    assert main(["resume", "last"]) == 0
    assert status(copy)["state"] == "done"


@pytest.mark.parametrize("name", ["../../victim.ckpt", "/etc/passwd", "a/b.ckpt", "manifest.json", 3, None, ["x"]])
@pytest.mark.parametrize("role", ["last", "kept", "superseded", "found"])
def test_a_manifest_names_no_file_elsewhere(run, tmp_path, role, name):
    victim = tmp_path / "victim.ckpt"
    victim.write_text("precious")
    path = run / "checkpoints" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, role: name if role == "last" else [name]}))
    assert Manifest.read(path.parent).last is None
    assert set(Manifest.read(path.parent).names) == set(checkpoints(run))
    assert victim.read_text() == "precious"


def test_a_finished_run_without_a_config_file_says_how_to_make_it_longer(whole, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, "run")
    (tmp_path / "run" / "config.yaml").unlink()
    assert main(["resume", "run"]) == 2
    assert "is finished. To make it longer: ganrun resume run kimg=0.8" in capsys.readouterr().err


def test_scores_left_by_a_copy_without_checkpoints_are_not_overwritten(run, capsys):
    shutil.rmtree(run / "checkpoints")
    (run / "status.json").unlink()
    (run / ".lock").touch()
    before = (run / "metrics.jsonl").read_bytes()
    assert main(["train", *TRAIN, "folder=run", "resume=true"]) == 2
    assert "run exists" in capsys.readouterr().err
    assert main(["resume", "run"]) == 2
    assert (run / "metrics.jsonl").read_bytes() == before
    with pytest.raises(UserError, match="without checkpoints"):
        ganrun.load(run)


@pytest.mark.slow
def test_a_sweep_goes_on_with_a_job_that_lacks_its_json_files(cli, whole):
    assert main(["train", "-m", *TRAIN, "optimizer.lr=2e-4,1e-4", "folder=sweep"]) == 0
    sweep = cli.folder / "sweep"
    (job,) = sweep.glob("0-*")
    state = json.loads((sweep / "sweep.json").read_text())
    state["jobs"][0]["state"] = "interrupted"
    (sweep / "sweep.json").write_text(json.dumps(state))
    for path in [*job.rglob("*.json"), *job.glob("checkpoints/kimg000000.[34]*")]:
        path.unlink()
    before = checkpoints(job)
    assert main(["sweep", "resume", "sweep"]) == 0
    assert equal(weights(job), weights(whole))
    assert before.items() <= checkpoints(job).items()
    assert "kimg000000.280.ckpt, the newest checkpoint" in (sweep / "logs" / f"{job.name}.log").read_text()


@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_curves_of_a_resumed_run_are_those_of_the_whole_one(cli, logger):
    args = [*TRAIN, f"logger={logger}", "log_every=1"]
    assert main(["train", *args, "folder=whole"]) == 0
    run = rewind(cli.folder / "whole", cli.folder / "run", 0.2)
    assert main(["resume", "run"]) == 0
    assert read_curve(run, logger) == read_curve(cli.folder / "whole", logger)


def read_curve(run, logger):
    """Return [(step, loss)] of the generator."""
    if logger == "csv":
        with (run / "metrics.csv").open(newline="") as file:
            rows = [*csv.DictReader(file)]
        return [(row["step"], row["train/generator/loss"]) for row in rows if row["train/generator/loss"]]
    events = EventAccumulator(str(run)).Reload().Scalars("train/generator/loss")
    return [(event.step, event.value) for event in events]


def test_checkpoints_of_version_0_1_that_hold_lists_of_omegaconf_are_read(run, whole):
    """Their optimizers' betas were such lists, which no loader of 0.1 read."""
    config = OmegaConf.create({"optimizer": {"betas": [0.5, 0.999], "deep": [{"a": "${optimizer.betas}"}, None]}})
    path = run / "checkpoints" / "kimg000000.200.ckpt"
    content = torch.load(path, weights_only=True)
    for state in content["optimizer_states"]:
        state["param_groups"][0]["betas"] = config.optimizer.betas
    content["seen"]["mine"] = config
    torch.save(content, path)
    manifest = json.loads((path.parent / "manifest.json").read_text())
    (path.parent / "manifest.json").write_text(json.dumps({**manifest, "sha256": {}}))
    assert main(["resume", "run"]) == 0
    assert equal(weights(run), weights(whole))
    groups = [state["param_groups"][0] for state in load_checkpoint(run)["optimizer_states"]]
    assert [tuple(group["betas"]) for group in groups] == [(0.5, 0.999)] * 2


def test_a_stand_in_runs_nothing_and_stands_for_no_other_class(run, tmp_path):
    path = run / "checkpoints" / "kimg000000.200.ckpt"
    content = torch.load(path, weights_only=True)
    for name, is_read in [
        ("omegaconf.omegaconf.OmegaConf", True),
        ("os.getcwd", False),
        ("ganrun.errors.Failure", False),
    ]:
        module, _, function = name.rpartition(".")
        torch.save({**content, "mine": Call(module, function)}, path)
        if is_read:
            assert isinstance(read_checkpoint(path)["mine"], NoneType)
        else:
            with pytest.raises(pickle.UnpicklingError):
                read_checkpoint(path)


class Call:
    """Pickled as a call of a function."""

    def __init__(self, module, function):
        self.function = getattr(importlib.import_module(module), function)

    def __reduce__(self):
        return self.function, ()


@pytest.mark.slow
@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_a_kill_loses_no_curve_of_before_the_last_checkpoint(tmp_path, logger):
    whole = run_uninterrupted(tmp_path / "whole", f"logger={logger}")
    run = PausedRun(tmp_path / "run")
    run.train("final scores", f"logger={logger}")
    run.wait_until_paused()
    run.process.kill()
    run.wait()
    run.resume()
    assert read_curve(run.path, logger) == read_curve(whole.path, logger)
