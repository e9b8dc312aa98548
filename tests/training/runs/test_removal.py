"""What `ganrun runs rm` and `clean` remove, and what they never touch."""

import io
import os
import sys
from pathlib import Path

import pytest
from helpers.hostile import make_link, write_sweep
from helpers.run_folders import Holder, make_dead, make_elsewhere, make_not_begun, make_run

from ganrun.cli.main import main
from ganrun.errors import UserError
from ganrun.sweep.state import RunnerRegistry
from ganrun.training.runs import removal
from ganrun.training.runs.removal import check_removable, foreign_entries, remove_run


@pytest.fixture
def work(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "mine").mkdir()
    (folder / "mine" / "precious").write_text("precious")
    yield folder
    assert (folder / "mine" / "precious").read_text() == "precious"


def test_version_0_1_has_written_nothing_foreign():
    assert not foreign_entries(Path(__file__).parents[2] / "fixtures" / "v0.1" / "run")


def everything(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_run_is_removed_wholly_and_nothing_beside_it(work):
    run = make_run(work / "run")
    (run / "events.out.tfevents.1.host").touch()
    (run / ".status.json.partial").touch()
    before = everything(work)
    remove_run(run)
    assert everything(work) == {name for name in before if not name.startswith("run")}


def test_links_in_a_run_are_removed_and_what_they_lead_to_stays(work):
    run = make_run(work / "run")
    make_link(run / "samples", work / "mine")
    make_link(run / "checkpoints" / "kimg000001.000.ckpt", work / "mine" / "precious")
    remove_run(run)
    assert everything(work) == {"mine", "mine/precious"}


REFUSED = {
    "a link to a run": (lambda work: make_link(work / "run", make_run(work / "real")), "run is a link to "),
    "a file": (lambda work: (work / "run").write_text("x"), "is not a run folder"),
    "no run": (lambda work: (work / "run").mkdir(), "is not a run folder"),
    "a sweep": (lambda work: write_sweep(work / "run", [{"model": "gan"}]), "run is a sweep, whose jobs are runs"),
    "notes in it": (lambda work: (make_run(work / "run") / "notes.md").touch(), "has not written: notes.md"),
    "a run in it": (lambda work: make_run(make_run(work / "run") / "branch"), "has not written: branch"),
    "elsewhere": (lambda work: make_elsewhere(work / "run"), "says that it runs on node17"),
    "closed": (lambda work: make_run(work / "run").chmod(0o500), "is not writable for you"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_stays(work, name, capsys, monkeypatch):
    make, reason = REFUSED[name]
    make(work)
    monkeypatch.setattr(removal.os, "access", lambda path, mode: bool(os.stat(path).st_mode & 0o200))  # also for root
    before = everything(work)
    assert main(["runs", "rm", "run", "--yes"]) == 2
    assert reason in capsys.readouterr().err
    assert everything(work) == before
    (work / "run").chmod(0o700)


def test_what_ganrun_has_not_written_is_removed_if_that_is_said(work):
    (make_run(work / "run") / "notes.md").touch()
    assert main(["runs", "rm", "run", "all=true", "--yes"]) == 0
    assert everything(work) == {"mine", "mine/precious"}


def test_the_folder_that_somebody_works_in_stays(work, monkeypatch, capsys):
    run = make_run(work / "run")
    monkeypatch.chdir(run / "checkpoints")
    assert main(["runs", "rm", str(run), "all=true", "--yes"]) == 2
    assert "holds the working folder or the home folder" in capsys.readouterr().err
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(run))
    assert main(["runs", "rm", str(run), "all=true", "--yes"]) == 2
    assert run.exists()


def test_a_run_inside_another_that_lives_keeps_both(work, capsys):
    branch = make_run(make_run(work / "run") / "branch", state="running")
    holder = Holder(branch)
    assert main(["runs", "rm", "run", "all=true", "--yes"]) == 2
    holder.close()
    assert "run/branch is running, and lies in run. Stop it first: ganrun stop run/branch" in capsys.readouterr().err
    assert branch.exists()


def test_a_run_that_starts_after_the_check_stays(work, monkeypatch):
    run, holders = make_run(work / "run"), []
    monkeypatch.setattr(removal, "check_removable", lambda *_: holders.append(Holder(run)))
    with pytest.raises(UserError, match="in use by process"):
        remove_run(run)
    holders[0].close()
    assert (run / "status.json").exists()
    assert {path.name for path in work.iterdir()} == {"mine", "run"}


def test_a_failed_job_of_a_sweep_that_runs_stays(work):
    sweep = write_sweep(work / "s", [{"model": "gan"}])
    run = make_run(sweep / "0-job", state="failed")
    runner = RunnerRegistry(sweep)
    runner.join()
    with pytest.raises(UserError, match="belongs to a sweep that is running"):
        check_removable(run)
    runner.leave()
    check_removable(run)


def test_all_runs_are_checked_before_the_first_is_removed(work):
    make_run(work / "a")
    (work / "b").mkdir()
    assert main(["runs", "rm", "a", "b", "--yes"]) == 2
    assert (work / "a").exists()


def test_a_command_without_runs_is_refused_with_an_example(work, capsys):
    assert main(["runs", "rm", "--yes"]) == 2
    assert "runs rm needs run folders, as in: ganrun runs rm outputs/train/" in capsys.readouterr().err


# ---- clean -----------------------------------------------------------------------------------------------------------


def make_all(outputs):
    """Runs of all kinds; return the names of those that `clean resumable=true` removes."""
    outputs.mkdir()
    for name in ("done", "failed", "interrupted"):
        make_run(outputs / name, state=name)
    make_dead(outputs / "dead")
    make_elsewhere(outputs / "elsewhere")
    make_not_begun(outputs / "empty")
    stopped = make_run(outputs / "stopped", state="interrupted", kimg=0)
    (stopped / "checkpoints" / "kimg000002.000.ckpt").unlink()
    (make_run(outputs / "noted", state="failed") / "notes.md").touch()
    return {"failed", "dead", "empty", "stopped"}


def test_clean_lists_and_removes_dead_failed_and_empty_runs(work, capsys):
    cleaned = make_all(work / "outputs")
    make_link(work / "outputs" / "linked", make_run(work / "other", state="failed").parent / "other")
    before = {path.name for path in (work / "outputs").iterdir()}
    assert main(["runs", "clean", "resumable=true"]) == 2
    assert {path.name for path in (work / "outputs").iterdir()} == before
    out, err = capsys.readouterr()
    assert {line.split()[0] for line in out.splitlines() if line.startswith("outputs/")} == {
        f"outputs/{name}" for name in cleaned
    }
    assert "To remove them: ganrun runs clean resumable=true --yes" in err
    assert "left out: outputs/noted holds what ganrun has not written: notes.md" in err
    assert main(["runs", "clean", "resumable=true", "-y"]) == 0
    assert {path.name for path in (work / "outputs").iterdir()} == before - cleaned
    assert (work / "other").exists()
    assert "Removed 4 runs" in capsys.readouterr().out


def test_clean_says_that_there_is_nothing_to_clean(work, capsys):
    make_run(work / "outputs")
    assert main(["runs", "clean", "--yes"]) == 0
    assert "There is nothing to clean below outputs" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("answer", "is_removed"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_in_a_terminal_a_question_is_asked(work, monkeypatch, answer, is_removed):
    make_run(work / "run")
    out = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["runs", "rm", "run"]) == (not is_removed)
    assert "Remove 1 run (" in out.getvalue()
    assert "for good? [y/N] " in out.getvalue()
    assert (work / "run").exists() != is_removed
