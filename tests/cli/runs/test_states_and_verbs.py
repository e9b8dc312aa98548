"""Each command that looks after runs, on runs in every state: one clear message or what was asked for."""

import json
import shutil
from pathlib import Path

import pytest
from helpers.run_folders import CONDITIONS, Holder, make_dead, make_run

from ganrun.cli.main import main

VERBS = {
    "status": ["status", "RUN"],
    "status json": ["status", "RUN", "--json"],
    "logs": ["logs", "RUN"],
    "stop": ["stop", "RUN"],
    "save": ["save", "RUN", "limit=0.1"],
    "tag": ["runs", "tag", "RUN", "a"],
    "rm": ["runs", "rm", "RUN"],
    "rm --yes": ["runs", "rm", "RUN", "--yes"],
    "diff": ["runs", "diff", "RUN", "known"],
}
OK = (0, "")
NO_RUN = (2, "run is not a run folder. ganrun runs lists the runs.")
MISSING = (2, "run does not exist. ganrun runs lists the runs.")
ASKS = (2, "This asks first, and there is no terminal to ask in. To remove them: ganrun runs rm run --yes")
GO_ON = "To go on: ganrun resume run"
# condition: {verb: (exit code, part of the message)}; what is not named works
REFUSED = {
    "done": {"stop save": (2, "run is not running (done). To see its scores: ganrun status run"), "rm": ASKS},
    "failed": {"stop save": (2, f"run is not running (failed). {GO_ON}"), "rm": ASKS},
    "dead": {
        "stop save": (2, f"run is not running: its process was killed, as nobody holds its lock. {GO_ON}"),
        "rm": ASKS,
    },
    "elsewhere": {
        "stop": (2, "run runs on node17. Stop it there: ganrun stop /"),
        "save": (1, "run has not saved within 0.1 s."),
        "rm|rm --yes": (2, "run says that it runs on node17, and was written to within the last day."),
    },
    "truncated": {"stop save": (2, "Its status.json cannot be used. To see more: ganrun status run"), "rm": ASKS},
    "unknown state": {"stop save": (2, "Its status.json cannot be used."), "rm": ASKS},
    "no config": {
        "stop save": (2, f"run is not running (interrupted). {GO_ON}"),
        "rm": ASKS,
        "diff": (2, "The settings of run are unknown: its config.yaml is missing or damaged."),
    },
    "not begun": {
        "stop save": (2, "run is not running (empty). It ended before its training began. To start one: ganrun train"),
        "rm": ASKS,
    },
    "fifo": {
        "stop save": (2, "Its status.json cannot be used."),
        "logs": (2, "train.log is a FIFO, not a regular file."),
        "diff": (2, "is a FIFO; ganrun follows nothing out of run"),
        "rm": ASKS,
    },
    "link": {
        "stop save": (2, "run is not running (done)."),
        "diff": (2, "run/samples is a link to /etc; ganrun follows nothing out of run"),
        "rm": ASKS,
    },
    "hostile": {"stop save": (2, "Its status.json cannot be used."), "rm": ASKS},
    "sweep": {
        "status|status json|logs|stop|save|tag|rm|rm --yes|diff": (2, "run is a sweep, whose jobs are runs: ganrun")
    },
    "no run": {"status|status json|logs|stop|save|tag|rm|rm --yes|diff": NO_RUN},
    "missing": {"status|status json|logs|stop|save|tag|rm|rm --yes|diff": MISSING},
}


def expected(condition: str, verb: str) -> tuple[int, str]:
    for names, outcome in REFUSED[condition].items():
        if verb in (names.split("|") if "|" in names or names in VERBS else names.split()):
            return outcome
    return OK


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    make_run(tmp_path / "known")
    return tmp_path


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_command_on_a_run_in_this_state(condition, verb, place, capsys):
    CONDITIONS[condition](place / "run")
    code, part = expected(condition, verb)
    assert main([arg.replace("RUN", "run") for arg in VERBS[verb]]) == code
    out, err = capsys.readouterr()
    assert part in err
    assert sum(line.startswith("ganrun: ") for line in err.splitlines()) == (code != 0)
    assert (place / "run").exists() == (condition != "missing" and (verb, code) != ("rm --yes", 0))
    assert not [c for c in out + err if c < " " and c not in "\n\t"]
    if verb == "status json" and not code:
        assert json.loads(out)["folder"] == "run"


@pytest.mark.parametrize("name", [name for name in CONDITIONS if name not in ("sweep", "no run", "missing")])
def test_the_list_has_the_run_and_the_problem_in_one_line(name, place, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    CONDITIONS[name](place / "outputs")
    assert main(["runs"]) == 0
    _, row, *rest = capsys.readouterr().out.splitlines()
    states = {"truncated": "damaged", "unknown state": "damaged", "fifo": "damaged", "hostile": "damaged"}
    states |= {"no config": "interrupted", "not begun": "empty", "link": "done"}
    assert row.split()[:2] == ["outputs", state := states.get(name, name)]
    assert rest[0] == ""
    assert f"1 run: 1 {state};" in rest[1]
    assert len(rest) == 2 + (state == "damaged")


def test_clean_spares_what_can_be_resumed_unless_told_so(place, capsys):
    make_dead(Path("runs/dead"))
    make_dead(Path("runs/hopeless"))
    shutil.rmtree("runs/hopeless/checkpoints")
    assert main(["runs", "clean", "runs", "--yes"]) == 0
    message = "left out as they can be resumed: runs/dead. With them: ganrun runs clean runs resumable=true"
    assert message in capsys.readouterr().err
    assert [path.name for path in Path("runs").iterdir()] == ["dead"]
    assert main(["runs", "clean", "runs", "resumable=true", "--yes"]) == 0
    assert [*Path("runs").iterdir()] == []


LIVE = {
    "runs": (["runs", "."], 0, "running"),
    "status": (["status", "run"], 0, "state        running: process "),
    "logs": (["logs", "run", "lines=1"], 0, "the last message"),
    "save": (["save", "run", "limit=0"], 1, "run has not saved within 0 s. It may be scoring, or be of an earlier "),
    "tag": (["runs", "tag", "run", "a"], 0, "run: a"),
    "diff": (["runs", "diff", "run", "known"], 0, "kimg"),
    "rm": (["runs", "rm", "run", "--yes"], 2, "run is running. Stop it first: ganrun stop run"),
    "rm all": (["runs", "rm", "run", "all=true", "-y"], 2, "run is running. Stop it first: ganrun stop run"),
    "clean": (["runs", "clean", ".", "--yes"], 0, "There is nothing to clean below .: no run there is dead, failed"),
}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    make_run(folder / "known")
    holder = Holder(make_run(folder / "run", state="running"))
    yield folder
    holder.close()


@pytest.mark.parametrize("verb", LIVE)
@pytest.mark.parametrize("state", ["running", "failed", "damaged"])
def test_a_run_whose_lock_is_held_is_live_whatever_its_status_says(live, verb, state, monkeypatch, capsys):
    monkeypatch.chdir(live)
    text = (live / "run" / "status.json").read_text()
    (live / "run" / "status.json").write_text(text[:20] if state == "damaged" else text.replace("running", state))
    args, code, part = LIVE[verb]
    assert main(args) == code
    (live / "run" / "status.json").write_text(text)
    out, err = capsys.readouterr()
    assert part in out + err
    assert (live / "run" / "checkpoints").is_dir()
    assert not (live / "run" / ".save").exists()
