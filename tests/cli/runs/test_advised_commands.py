"""The commands that messages about runs advise are accepted, for a folder whose name needs quotes."""

import os
import re
import shlex
import subprocess
from contextlib import closing, nullcontext

import pytest
from helpers.run_folders import Holder, make_dead, make_run, make_sweep

from ganrun.cli.main import main

RUN = "it's a [red] run=2"


def make_noted(folder):
    (make_run(folder) / "notes.md").touch()


def make_empty_sweep(folder):
    make_sweep(folder)
    make_run(folder / "0-job")


# A command; how the run is made, or None for one that runs; what comes before the advice
SCENARIOS = {
    "rm asks": (["runs", "rm", RUN], make_run, "To remove them: "),
    "clean asks": (["runs", "clean", ".", "resumable=true"], make_dead, "To remove them: "),
    "clean spares": (["runs", "clean", "."], make_dead, "With them: "),
    "not ganrun's": (["runs", "rm", RUN, "--yes"], make_noted, "Move it away, or: "),
    "rm without a run": (["runs", "rm"], make_run, "as in: "),
    "tag without a run": (["runs", "tag"], make_run, "as in: "),
    "no tag": (["runs", "tag", RUN, "a b"], make_run, "as in: "),
    "diff of one": (["runs", "diff", RUN], make_run, "got 1: "),
    "several folders": (["runs", "a", "b"], make_run, "single runs: "),
    "done": (["stop", RUN], make_run, "To see its scores: "),
    "damaged": (["stop", RUN], lambda folder: make_run(folder, state="x"), "To see more: "),
    "no run": (["status", "nowhere"], make_run, "does not exist. "),
    "a sweep": (["status", RUN], make_empty_sweep, "whose jobs are runs: "),
    "status of a run": (["status", RUN], make_run, "messages     "),
    "live": (["runs", "rm", RUN], None, "Stop it first: "),
    "slow": (["save", RUN, "limit=0"], None, "To wait longer: "),
    "slow to end": (["stop", RUN, "limit=0"], None, "To wait longer: "),
    "does not end": (["stop", RUN, "limit=0"], None, "without saving: "),
    "no name": (["logs"], make_run, "as in: "),
}
FILLED = {"RUN": RUN, "last": RUN, "FOLDER": ".", "rm,": "rm"}
WAITED = ("save", "stop")  # of a process that does neither: they wait, and say so


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_advised_command_is_accepted(name, place, capsys):
    args, make, before = SCENARIOS[name]
    make and make(place / RUN)
    with nullcontext() if make else closing(Holder(make_run(place / RUN, state="running"))):
        check_advice(args, before, place, capsys, is_live=make is None)


def check_advice(args, before, place, capsys, is_live):
    main(args)
    text = "".join(capsys.readouterr())
    assert before + "ganrun " in text, text
    advice = re.split(r"\. |, |\n| lists the runs", text.split(before)[-1] + "\n")[0].rstrip(".")
    printed = subprocess.run(["bash", "-c", f"printf '%s\\0' {advice}"], capture_output=True, check=True).stdout
    program, *words = os.fsdecode(printed).split("\0")[:-1]
    assert program == "ganrun", shlex.join(words)
    words = [FILLED.get(word, word) if not (place / word).exists() else word for word in words]
    words += ["limit=0"] if words[0] in WAITED and not any("limit=" in word for word in words) else []
    words += ["--yes"] if words[-1] == "all=true" else []  # it asks
    words = ["limit=0" if word.startswith("limit=") else word for word in words]
    code = main(words)
    err = capsys.readouterr().err
    if is_live:
        assert (code, "has not" in err) == (1, True), err
    else:
        is_example = "2026-01-31-120000" in " ".join(words)  # of a run that is not there
        assert code == (2 if is_example or words == ["runs", "rm"] else 0), (words, err)
