"""What a stranger's run or sweep folder may hold: nothing in it leads out of it, and no file in it stalls."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from helpers.hostile import make_fifo, make_link, write_run, write_sweep

import ganrun
from ganrun.cli.main import main
from ganrun.errors import UserError
from ganrun.sweep.executors.gpus import GpuPool
from ganrun.training import lock, run_folder

RUN = Path(__file__).parents[1] / "fixtures" / "v0.1" / "run"
VERBS = {
    "resume": ["resume", "RUN", "kimg=0.096"],
    "branch": ["resume", "RUN", "branch=true", "folder=branch"],
    "train": ["train", "folder=RUN", "resume=true"],
    "eval": ["eval", "RUN"],
    "sample": ["sample", "RUN"],
    "sample a file": ["sample", "RUN/checkpoints/kimg000000.064.ckpt"],
    "compare": ["compare", "RUN", str(RUN)],
}
# What stands in a run folder, or in its place, and leads to a file or folder `mine`
NAMES = [
    ".lock",
    "train.log",
    "metrics.jsonl",
    "status.json",
    "config.yaml",
    ".config.yaml.partial",
    ".status.json.partial",
]
FOLDERS = ["checkpoints", "samples", "profile", "a/b/c"]


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """A folder of the user's, which every test leaves as it is."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "kimg000000.001.ckpt").write_text("precious")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["kimg000000.001.ckpt"]
    assert (folder / "kimg000000.001.ckpt").read_text() == "precious"


@pytest.fixture
def stranger(tmp_path):
    return Path(shutil.copytree(RUN, tmp_path / "stranger"))


def put_link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    make_link(path, target)


def refuse(capsys, verb: str, run: Path) -> str:
    """Return the one message with which the verb refuses the run."""
    assert main([arg.replace("RUN", str(run)) for arg in VERBS[verb]]) == 2
    err = capsys.readouterr().err
    messages = [line for line in err.splitlines() if line.startswith("ganrun: ")]
    assert len(messages) == 1
    assert "Traceback" not in err
    return messages[0]


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_opens_a_run_with_a_link_that_leads_out_of_it(verb, stranger, mine, capsys):
    put_link(stranger / "samples", mine)
    message = refuse(capsys, verb, stranger)
    assert f"stranger/samples is a link to {mine}; ganrun follows nothing out of" in message
    advice = "ganrun resume" if verb == "train" else "ganrun "
    assert message.rpartition(advice)[2].endswith("trust=true")


@pytest.mark.parametrize("name", [*NAMES, "checkpoints/manifest.json", "checkpoints/.manifest.json.partial"])
def test_a_link_to_a_file_is_refused_wherever_it_stands(name, stranger, mine, capsys):
    put_link(stranger / name, mine / "kimg000000.001.ckpt")
    assert f"{name} is a link to {mine}" in refuse(capsys, "resume", stranger)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_link_to_a_folder_is_refused_wherever_it_stands(name, stranger, mine, capsys):
    put_link(stranger / name, mine)
    assert f"{name} is a link to {mine}" in refuse(capsys, "resume", stranger)


def test_a_link_to_nothing_is_refused_as_ganrun_would_create_what_it_names(stranger, mine, capsys):
    put_link(stranger / "hparams.yaml", mine / "new")
    assert "hparams.yaml is a link to" in refuse(capsys, "resume", stranger)


@pytest.mark.parametrize("name", ["status.json", "train.log", ".lock", "checkpoints/manifest.json", "samples"])
@pytest.mark.parametrize("verb", ["resume", "sample", "compare", "train"])
def test_no_fifo_is_opened(name, verb, stranger, capsys):
    (stranger / name).unlink(missing_ok=True)
    make_fifo(stranger / name)
    if (verb, name) == ("compare", "status.json"):
        assert "is not a run folder" in refuse(capsys, verb, stranger)
    else:
        assert f"{name} is a FIFO" in refuse(capsys, verb, stranger)


def test_a_socket_is_refused(stranger, capsys, monkeypatch):
    monkeypatch.chdir(stranger)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("here")
        monkeypatch.undo()
        assert "here is a socket" in refuse(capsys, "sample", stranger)


def test_links_within_the_run_folder_and_to_it_need_no_trust(stranger, tmp_path):
    make_link(stranger / "latest", Path("checkpoints"))
    make_link(stranger / "loop", Path("loop"))
    make_link(tmp_path / "elsewhere", stranger)
    assert main(["sample", "elsewhere", "n=1", "out=samples"]) == 0
    assert (tmp_path / "samples" / "grid.png").exists()


def test_trust_follows_a_link_to_the_checkpoints(stranger, tmp_path):
    shutil.move(stranger / "checkpoints", tmp_path / "scratch")
    make_link(stranger / "checkpoints", tmp_path / "scratch")
    assert main(["sample", "stranger", "n=1", "out=samples"]) == 2
    assert main(["sample", "stranger", "n=1", "out=samples", "trust=true"]) == 0
    assert main(["resume", "stranger", "kimg=0.096", "trust=true"]) == 0
    assert (tmp_path / "scratch" / "kimg000000.096.ckpt").exists()


def test_nothing_is_written_through_a_link_even_with_trust(stranger, mine, capsys):
    put_link(stranger / "metrics.jsonl", mine / "new")
    put_link(stranger / ".lock", mine / "lock")
    assert main(["resume", str(stranger), "kimg=0.096", "trust=true"]) == 2
    assert ".lock is a link, not a regular file" in capsys.readouterr().err


def test_a_hard_link_to_a_file_of_the_user_is_not_written_to(stranger, mine):
    for name in ("train.log", "metrics.jsonl", ".lock", "status.json", "config.yaml"):
        (stranger / name).unlink()
        os.link(mine / "kimg000000.001.ckpt", stranger / name)
    assert main(["resume", str(stranger), "kimg=0.096"]) == 0
    assert json.loads((stranger / "status.json").read_text())["state"] == "done"


def test_the_python_api_leaves_out_such_runs_and_does_not_load_them(stranger, mine, tmp_path):
    shutil.copytree(RUN, tmp_path / "known")
    put_link(stranger / "samples", mine)
    assert [run.folder for run in ganrun.runs(tmp_path)] == [str(tmp_path / "known")]
    with pytest.raises(UserError, match="samples is a link"):
        ganrun.load(stranger)


def test_a_folder_that_is_no_run_may_have_links_beside_a_checkpoint(tmp_path, mine):
    shutil.copy(RUN / "checkpoints" / "kimg000000.064.ckpt", tmp_path / "model.ckpt")
    make_link(tmp_path / "documents", mine)
    assert main(["sample", "model.ckpt", "n=1", "out=samples"]) == 0


SWEEP_VERBS = [["sweep", "s"], ["sweep", "resume", "s"], ["compare", "s"], ["train", "-m", "seed=1,2", "folder=s"]]


@pytest.mark.parametrize("name", [".lock", ".runners", "logs", ".leaderboard.csv.partial", "study.journal", "0-job"])
@pytest.mark.parametrize(
    "args", [["sweep", "s"], ["sweep", "resume", "s"], ["compare", "s"], ["train", "-m", "seed=1,2", "folder=s"]]
)
def test_no_verb_opens_a_sweep_with_a_link_that_leads_out_of_it(name, args, tmp_path, mine, capsys):
    folder = write_sweep(tmp_path / "s", [{"model": "gan"}, {"model": "wgan"}])
    write_run(folder / "1-job", {"seed": 0}, {1.0: 3.0})
    make_link(folder / name, mine)
    assert main(args) == 2
    assert f"s/{name} is a link to {mine}" in capsys.readouterr().err


def test_trust_shows_a_sweep_with_links(tmp_path):
    folder = write_sweep(tmp_path / "s", [{"model": "gan"}, {"model": "wgan"}])
    for name in ("0-job", "1-job"):
        make_link(folder / name, write_run(tmp_path / name, {"seed": 0}, {1.0: 3.0}))
    assert main(["sweep", "s"]) == 2
    assert main(["sweep", "s", "trust=true"]) == 0
    assert main(["compare", "s", "trust=true", "out=page"]) == 0


@pytest.mark.parametrize("name", ["/tmp/x", "../x", ".hidden", "a/b", "a\\b", "a\nb", "", "n" * 300, 5, None])
def test_a_name_in_the_manifest_is_a_plain_name(name, stranger, mine):
    path = stranger / "checkpoints" / "manifest.json"
    content = json.loads(path.read_text())
    names = {"last": f"{name}.ckpt" if name else name, "superseded": ["../../mine/kimg000000.001.ckpt"]}
    path.write_text(json.dumps({**content, **names}))
    assert main(["sample", str(stranger), "n=1", "out=samples"]) == 0  # from the files that are there
    assert main(["resume", str(stranger), "kimg=0.096"]) == 0


SETTINGS = [
    "save_dir=/tmp/mine",
    "save_dir=mine",
    "name=../../mine",
    "version=/tmp/mine",
    "sub_dir=../mine",
    "save_dir=${parent}",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_logger_of_a_saved_config_stays_in_the_run_folder(setting, stranger, tmp_path, capsys):
    key, value = setting.split("=")
    change_plan(stranger, "logger", key, value, parent="/tmp/mine")
    for args in (["kimg=0.096"], ["branch=true", "folder=branch", "kimg=0.096"]):
        assert main(["resume", str(stranger), *args]) == 2
        assert f"contains logger.{key}=" in (err := capsys.readouterr().err)
        assert "the logger would write outside" in err
    assert not (tmp_path / "branch").exists()


def change_plan(run: Path, group: str, key: str, value: object, **settings) -> None:
    """Change a setting in the config of the checkpoint, and others at the top of it."""
    import torch

    (path,) = (run / "checkpoints").glob("*.ckpt")
    content = torch.load(path, weights_only=True)
    for plan in (content["ganrun"]["plan"], content["ganrun"]["config"]):
        plan["logger"] = {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "${folder}", **plan["logger"]}
        plan |= settings
        plan[group][key] = value
    torch.save(content, path)
    manifest = json.loads((run / "checkpoints" / "manifest.json").read_text())
    (run / "checkpoints" / "manifest.json").write_text(json.dumps({**manifest, "sha256": {}}))


def test_the_name_of_the_data_does_not_lead_out_of_the_cache(tmp_path):
    from ganrun.metrics.reference_stats import statistics_path

    path = statistics_path("../../mine-test-lenet", {})
    assert path.parent.name == "statistics"
    assert "/" not in path.name


def test_a_lock_is_no_link_and_its_owner_no_process_of_the_system(tmp_path, mine):
    make_link(tmp_path / lock.LOCK_FILE, mine / "new")
    assert not lock.is_locked(tmp_path)
    with pytest.raises(UserError, match=r"\.lock is a link"), lock.exclusive_lock(tmp_path):
        pass
    (tmp_path / lock.LOCK_FILE).unlink()
    for pid in (-1, 0, 1, 10**30, "5", None):
        (tmp_path / lock.LOCK_FILE).write_text(json.dumps({"host": "here", "pid": pid}))
        assert lock.read_owner(tmp_path) == {}


def test_the_folder_of_the_gpu_locks_is_no_link(tmp_path, mine):
    make_link(tmp_path / "gpus", mine)
    with pytest.raises(UserError, match="gpus is a link or of another user"):
        GpuPool(["0"], 1, tmp_path / "gpus").lease()


def test_a_large_folder_is_checked_in_a_moment(tmp_path):
    for job in range(200):
        (tmp_path / f"{job}").mkdir()
        for file in range(20):
            (tmp_path / f"{job}" / f"{file}").touch()
    start = os.times().elapsed
    run_folder.check_contents(tmp_path)
    assert os.times().elapsed - start < 2
