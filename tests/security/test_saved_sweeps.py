"""A sweep folder of somebody else: what its sweep.json and its study say is not run without trust."""

import json
import re
import shlex
import shutil

import pytest
from helpers.runs import RING

from ganrun.cli.main import main
from ganrun.errors import Failure
from ganrun.sweep.search.space import Axis, SearchSpace
from ganrun.sweep.search.study import StudySearch
from ganrun.sweep.state import SweepState

EVIL = "open('pwned', 'w')\nfrom ganrun.models.gan import GAN as Thing\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps") / "sweep"
    assert main(["train", "-m", *RING, "optimizer.lr=1e-3", "seed=1", f"folder={folder}"]) == 0
    return folder


@pytest.fixture
def sweep(finished, tmp_path, monkeypatch):
    """A function that changes the sweep.json of a sweep in the working folder."""
    shutil.copytree(finished, tmp_path / "sweep")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text(EVIL)
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "evil.yaml").write_text(
        "# @package _global_\n# Evil\nmodel: {_target_: evil.Thing}\n"
    )
    path = tmp_path / "sweep" / "sweep.json"

    def change(**entries):
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    change.command = json.loads(path.read_text())["command"]
    change.folder = tmp_path
    return change


COMMANDS = [
    "model._target_=evil.Thing",
    "+callbacks.x={_target_: evil.Thing}",
    "+callbacks.x={'_target_':'os.system',command:'touch pwned'}",
    "optimizer._target_=torch.optim.Adam,evil.Thing",
    "+a.b._target_=choice(evil.Thing,os.system)",
    "optimizer.lr=${oc.env:HOME}",
    "hydra.launcher._target_=evil.Thing",
    "hydra/launcher=joblib",
    "hydra/sweeper=basic",
    "hydra.searchpath=[file://own]",
    "hydra.run.dir=/tmp",
    "+optimizer@hydra.launcher=adam",
    "++hydra.callbacks.x._target_=evil.Thing",
    "--config-dir=own",
    "-cd=own",
    "sweep.sbatch='--wrap=touch pwned'",
    "sweep.storage=sqlite:///elsewhere.db",
    "sweep.space={hydra.launcher._target_:'choice(evil.Thing,x)'}",
    "sweep.space={model._target_:'choice(ganrun.models.gan.GAN,evil.Thing)'}",
    "+logger.save_dir=/tmp/elsewhere",
]


@pytest.mark.parametrize("override", COMMANDS)
def test_a_saved_command_runs_nothing_but_ganruns_own(override, sweep, capsys):
    sweep(command=[*sweep.command, override])
    before = sorted(path for path in sweep.folder.rglob("*") if path.name != ".lock")
    assert main(["sweep", "resume", "sweep"]) == 2
    message = capsys.readouterr().err
    assert "sweep.json contains " in message
    assert "trust=true" in message
    assert sorted(path for path in sweep.folder.rglob("*") if path.name != ".lock") == before


@pytest.mark.parametrize("flags", [{"--config-dir": "own"}, {"--config-path": "own"}, {"--info": "all"}])
def test_the_saved_flags_need_trust(flags, sweep, capsys):
    sweep(command=["model=evil"], flags=flags)
    assert main(["sweep", "resume", "sweep", "sweep.jobs=2"]) == 2
    assert "ganrun sweep resume sweep sweep.jobs=2 trust=true" in capsys.readouterr().err
    assert not (sweep.folder / "pwned").exists()


@pytest.mark.parametrize(
    "job",
    [
        {"values": {"model._target_": "evil.Thing"}},
        {"values": {"optimizer.lr": "${oc.env:HOME}"}},
        {"values": {"--config-dir": "own"}},
        {"seed": 7},
    ],
)
def test_a_job_that_is_not_of_the_sweep_is_refused(job, sweep, capsys):
    jobs = json.loads((sweep.folder / "sweep" / "sweep.json").read_text())["jobs"]
    sweep(jobs=[{**jobs[0], **job, "state": "waiting"}])
    assert main(["sweep", "resume", "sweep"]) == 2
    assert "is damaged: its job 0-seed-1 has " in capsys.readouterr().err
    assert main(["train", "-m", *RING, "optimizer.lr=1e-3", "seed=1", "folder=sweep"]) == 2
    assert not (sweep.folder / "pwned").exists()


def test_a_sweep_without_own_classes_resumes_without_trust(sweep):
    assert main(["sweep", "resume", "sweep"]) == 0
    assert main(["sweep", "sweep"]) == 0


@pytest.mark.slow
def test_the_command_of_the_message_resumes_a_sweep_of_an_own_class_and_own_configs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("from ganrun.models.gan import GAN as Thing\n")
    (tmp_path / "own" / "model").mkdir(parents=True)
    yaml = "# @package _global_\n# Mine\ndefaults: [gan, _self_]\nmodel: {_target_: mine.Thing}\n"
    (tmp_path / "own" / "model" / "mine.yaml").write_text(yaml)
    args = [*(arg for arg in RING if not arg.startswith("model=")), "model=mine", "seed=1", "folder=sweep"]
    assert main(["train", "-m", "--config-dir", "own", *args]) == 0
    capsys.readouterr()
    shutil.rmtree("sweep/0-seed-1")
    path = tmp_path / "sweep" / "sweep.json"
    path.write_text(path.read_text().replace('"state": "done"', '"state": "waiting"'))
    assert main(["sweep", "resume", "sweep"]) == 2
    command = capsys.readouterr().err.strip().rpartition("ganrun ")[2]
    assert main(shlex.split(command)) == 0
    assert (tmp_path / "sweep" / "0-seed-1" / "checkpoints").is_dir()


STUDIES = [
    (Axis("lr", low=1e-5, high=1e-2), "0.01,", "99.0,"),
    (Axis("schedule", ("null", "linear_decay")), "linear_decay", "{_target_: evil.Thing}"),
]


@pytest.mark.parametrize(("axis", "text", "other"), STUDIES)
def test_a_value_of_the_study_that_is_not_in_the_search_space_ends_the_sweep(axis, text, other, tmp_path):
    sweep = SweepState(tmp_path, {"fixed": [], "axes": [], "seeds": [0]}, id="a")
    search = (SearchSpace(axes=[axis]), "random", 9, "min", 0, sweep)
    StudySearch(*search).propose([])
    journal = tmp_path / "study.journal"
    changed = journal.read_text().replace(text, other)
    assert changed != journal.read_text()
    journal.write_text(re.sub(r'param_value_internal":[\d.e-]+', 'param_value_internal":1', changed))
    with pytest.raises(Failure, match="is not in the search space"):
        StudySearch(*search).propose([])
