"""A signal in the first moments of `ganrun train`: there is no run folder yet, or its state is "interrupted"."""

import signal

import pytest
from helpers.runs import RING, status

from ganrun.cli.main import main
from ganrun.config import build
from ganrun.data.module import DataModule
from ganrun.training import run_record, session

MOMENTS = {
    "the model is built": (build, "build_model"),
    "the data are read": (DataModule, "setup"),
    "the folder is made": (run_record, "write_start"),
    "what was killed is removed": (session, "remove_abandoned"),
    "the record is made": (session.RunRecord, "restore"),
    "the callbacks are bound": (session, "bind_callbacks"),
    "the loggers are built": (session, "build_loggers"),
    "the model is set up": (session.RunCallback, "setup"),
}


@pytest.fixture
def at(monkeypatch):
    """Raises a signal when a function has been called for the first time since."""

    def at(moment, signum):
        owner, name = MOMENTS[moment]
        function = getattr(owner, name)

        def call(*args, **options):
            result = function(*args, **options)
            monkeypatch.setattr(owner, name, function)
            signal.raise_signal(signum)
            return result

        monkeypatch.setattr(owner, name, call)

    return at


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_before_the_first_batch_leaves_no_folder_or_an_interrupted_run(cli, at, moment, signum):
    at(moment, signum)
    assert cli.run("train", *RING, "folder=run") == 128 + signum
    run = cli.folder / "run"
    assert not run.exists() or status(run)["state"] == "interrupted"
    assert run.exists() == ([*MOMENTS].index(moment) > 2)
    assert main(["train", *RING, "folder=run", "resume=true"]) == 0
    assert status(run)["state"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_branch_that_is_interrupted_at_once_can_be_resumed(cli, at, signum):
    assert cli.run("train", *RING, "folder=run") == 0
    at("the record is made", signum)
    assert cli.run("resume", "run", "branch=true", "folder=branch") == 128 + signum
    assert status(cli.folder / "branch")["state"] == "interrupted"
    assert cli.run("resume", "branch") == 0
    assert status(cli.folder / "branch")["state"] == "done"
