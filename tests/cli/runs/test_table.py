"""The table of runs: what it shows, in terminals of any width, and how few files it takes."""

import builtins
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.hostile import write_run
from helpers.run_folders import copy_many, make_dead, make_elsewhere, make_run
from rich.cells import cell_len

from ganrun.cli.main import main
from ganrun.cli.runs import table
from ganrun.training.runs.disk import DiskUse
from ganrun.training.runs.overview import RunOverview, read_overview
from ganrun.training.runs.states import RunState


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_overview(name="outputs/train/dcgan-digits/2026-11-27-041856", state=RunState.RUNNING, **entries):
    facts = {"kimg": 306.2, "kimg_limit": 500, "score": 5.913, "metric": "val/fd_lenet", "images_per_second": 1084.2}
    facts |= {"seconds_left": 179.0, "device": "cuda:3", "disk": DiskUse(10**8), "tags": ["baseline", "paper"]}
    return RunOverview(name, state, **{**facts, **entries})


WIDTHS = [24, 40, 60, 80, 100, 140, table.UNLIMITED]
MANY = [
    make_overview(),
    make_overview(state=RunState.DONE, seconds_left=float("nan"), tags=[]),
    make_overview("outputs/sweeps/2026-11-27/12-model-wgan+seed-3", RunState.INTERRUPTED, device="cpu", host="node17"),
    make_overview(
        "outputs/数据集/ein Lauf", RunState.DAMAGED, kimg=0, score=float("nan"), problem="status.json is damaged"
    ),
]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_of_the_table_is_wider_than_the_terminal(width):
    lines = table.format_runs(MANY, width).splitlines()
    rows = lines[: lines.index("")]
    longest_name = max(cell_len(str(run.folder)) for run in MANY)
    assert all(cell_len(row) <= max(width, longest_name) for row in rows)
    for run in MANY:
        assert any(str(run.folder).endswith(row.split("  ")[0]) for row in rows)


def test_all_columns_are_shown_where_there_is_room():
    head, row, *_ = table.format_runs([make_overview()], 140).splitlines()
    assert head.split() == ["run", "state", "kimg", "score", "images/s", "left", "device", "disk", "tags"]
    shown = ["running", "306.2/500", "5.913 fd_lenet", "1,084", "2:59", "cuda:3", "100 MB", "baseline,paper"]
    assert row.split("  ")[0] == "outputs/train/dcgan-digits/2026-11-27-041856"
    assert [part.strip() for part in row.split("  ") if part.strip()][1:] == shown


def test_a_terminal_of_80_columns_shows_state_progress_score_and_time_left():
    lines = table.format_runs([make_overview(), make_overview("outputs/train/dcgan-digits/b")], 80).splitlines()
    assert lines[0] == "in outputs/train/dcgan-digits"
    assert lines[1].split() == ["run", "state", "kimg", "score", "left", "tags"]
    assert " ".join(lines).endswith("(no room for images/s, device, disk: --json has all)")


def test_absolute_and_relative_folders_have_no_folder_above_them():
    names = ["outputs/a", "/somewhere/else/b"]
    for given in (names, names[::-1]):
        assert table.split_parent(given) == ("", given)
    assert table.split_parent(["/a/b/c", "/a/d"]) == ("/a", ["b/c", "d"])
    assert table.split_parent(["a/b", "c/d"]) == ("", ["a/b", "c/d"])
    assert table.split_parent(["x/a", "x/b/c"]) == ("x", ["a", "b/c"])


def test_columns_of_wide_characters_are_aligned():
    head, _, _, _, row, *_ = table.format_runs(MANY, 200).splitlines()
    assert cell_len(row[: row.index("damaged")]) == head.index("state")


def test_without_a_terminal_nothing_is_left_out(place, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    make_run(place / "outputs" / ("a" * 150))
    assert main(["runs"]) == 0
    assert f"outputs/{'a' * 150}  done" in capsys.readouterr().out


def test_live_runs_come_first_then_the_newest(place, capsys):
    for age, name in enumerate(["old", "older", "oldest"]):
        run = make_run(place / "outputs" / name)
        for path in [*run.rglob("*"), run]:
            os.utime(path, (time.time() - 1000 * age - 99, time.time() - 1000 * age - 99))
    make_dead(place / "outputs" / "dead")
    make_elsewhere(place / "outputs" / "elsewhere")
    assert main(["runs", "--json"]) == 0
    folders = [run["folder"].removeprefix("outputs/") for run in json.loads(capsys.readouterr().out)]
    assert folders == ["elsewhere", "dead", "old", "older", "oldest"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["state=failed"], {"b"}),
        (["state=failed,dead"], {"b", "c"}),
        (["tag=x"], {"a", "b"}),
        (["tag=x,y"], {"a"}),
        (["tag=x", "state=done"], {"a"}),
        (["tag=z"], set()),
    ],
)
def test_runs_are_selected_by_state_and_tags(place, filters, expected, capsys):
    for name, state, tags in (("a", "done", ["x", "y"]), ("b", "failed", ["x"]), ("c", "running", ["y"])):
        (make_run(place / "outputs" / name, state=state) / "tags.json").write_text(json.dumps(tags))
    assert main(["runs", *filters, "--json"]) == 0
    assert {run["folder"][-1] for run in json.loads(capsys.readouterr().out)} == expected


@pytest.mark.parametrize(
    ("args", "code", "part"),
    [
        (["runs"], 0, "There is no such run below outputs. Start one: ganrun train"),
        (["runs", "--json"], 0, "[]"),
        (["runs", "nowhere"], 2, "nowhere does not exist."),
        (["runs", "cleen"], 2, "Did you mean clean?"),
        (["runs", "file"], 2, "file is not a folder."),
        (["runs", "a", "b"], 2, 'ganrun runs looks below one folder, and got 2: "a", "b".'),
        (["runs", "--all"], 2, 'Unknown flag "--all". ganrun runs takes --json, --yes, --help.'),
        (["runs", "--yes"], 2, "ganrun runs has no flag --yes. It takes --json."),
        (["runs", "du", "--json"], 2, "ganrun runs du has no flag --json. It takes none."),
        (["runs", "states=done"], 2, "ganrun runs has no setting states. Did you mean state? Allowed: state, tag."),
        (["runs", "state=runing"], 2, "state=runing is unknown. Did you mean running"),
        (["runs", "diff", "a"], 2, "runs diff needs two runs, got 1: ganrun runs diff RUN RUN."),
        (["runs", "tag"], 2, "runs tag needs a run, as in: ganrun runs tag last baseline"),
        (["status"], 2, "status needs one run folder, or the word last, as in: ganrun status last"),
        (["stop", "a", "b"], 2, "stop needs one run folder, or the word last, got 2, as in: ganrun stop last"),
        (["stop", "a", "--yes"], 2, 'Unknown flag "--yes". ganrun stop takes --help.'),
        (["logs", "a", "lines=few"], 2, "a does not exist."),
        (["compare", "--json"], 2, 'Unknown flag "--json". ganrun compare takes --help.'),
    ],
)
def test_each_wrong_command_gives_one_message(place, args, code, part, capsys):
    (place / "file").touch()
    assert main(args) == code
    out, err = capsys.readouterr()
    assert part in out + err
    assert err.count("ganrun: ") == (code > 0)


def test_how_far_a_killed_run_was_is_read_from_the_end_of_its_metrics(place):
    run = write_run(place / "run", {}, {}, state="running", kimg=1.0, monitor=None, limit={"kimg": 10, "minutes": None})
    lines = [json.dumps({"time": k, "kimg": 0.5 * k, "train/generator/loss": 0.1}) for k in range(5000)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + '\n{"time": 77777, "kimg": 99')
    assert read_overview(run).kimg == 0.5 * 4999


@pytest.mark.parametrize(
    ("limit", "left"),
    [({"kimg": 100}, 180), ({"minutes": 1}, 40), ({"kimg": 100, "minutes": 1}, 40), ({"kimg": 14, "minutes": 9}, 8)],
)
def test_the_time_left_follows_from_the_pace_and_from_the_minutes(place, limit, left):
    run = make_run(place / "run", state="running", host="node17", limit=limit, kimg=0.0)
    lines = [json.dumps({"time": k, "kimg": 0.5 * k}) for k in range(21)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert read_overview(run).seconds_left == pytest.approx(left)


def test_a_run_of_an_earlier_version_has_its_score_from_the_manifest(place):
    run = make_run(place / "run")
    status = json.loads((run / "status.json").read_text())
    del status["monitor"]
    (run / "status.json").write_text(json.dumps(status))
    scores = {"best": {"kimg": 1.0, "value": 5.5}, "last": {"kimg": 2.0, "value": None}}
    manifest = {"last": "kimg000002.000.ckpt", "monitor": "val/fid", "mode": "min", "scores": scores}
    (run / "checkpoints" / "manifest.json").write_text(json.dumps(manifest))
    overview = read_overview(run)
    assert (overview.metric, overview.score) == ("val/fid", 5.5)


def test_of_each_run_only_small_files_are_opened(place, monkeypatch, capsys):
    copy_many(make_run(place / "run"), place / "outputs", 20)
    opened = []
    for owner, name in ((builtins, "open"), (io, "open"), (os, "open")):
        original = getattr(owner, name)
        watch = lambda path, *a, original=original, **k: opened.append(str(path)) or original(path, *a, **k)  # noqa: E731
        monkeypatch.setattr(owner, name, watch)
    assert main(["runs"]) == 0
    ours = [os.path.basename(path) for path in opened if "outputs" in path]
    assert set(ours) <= {"status.json", ".lock"}
    assert len(ours) <= 2 * 20


def test_the_disk_use_is_told_by_kind(place, capsys):
    run = make_run(place / "outputs" / "run")
    (run / "samples").mkdir()
    (run / "samples" / "a.png").write_bytes(b"x" * 50_000)
    os.link(run / "samples" / "a.png", run / "samples" / "b.png")
    (run / "away").symlink_to("/usr")
    make_run(place / "outputs" / "small")
    assert main(["runs", "du"]) == 0
    head, first, second, total = (line.split("  ") for line in capsys.readouterr().out.splitlines())
    assert [part.strip() for part in head if part.strip()] == ["total", "checkpoints", "pictures", "others", "run"]
    assert (first[-1], second[-1], total[-1]) == ("outputs/run", "outputs/small", "2 runs")
    use = read_overview(run).disk
    assert 50_000 <= use.pictures < 60_000
    assert 5_000 <= use.checkpoints < 10_000


@pytest.mark.parametrize("width", [1, 20, 80, 140])
def test_the_status_of_a_run_fits_the_terminal_as_far_as_its_words_do(place, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    make_run(place / "run", versions=dict.fromkeys(("python", "ganrun", "torch", "numpy", "hydra-core"), "1.2.3"))
    assert main(["status", "run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "run          run"
    assert max(map(len, lines)) <= max(width, 60)
    assert main(["runs", "."]) == 0
    assert main(["runs", "du", "."]) == 0


@pytest.mark.parametrize(("hours", "state"), [(1, "elsewhere"), (25, "dead")])
def test_a_run_of_another_machine_that_has_been_silent_for_a_day_is_dead(place, hours, state):
    make_elsewhere(place / "run")
    for path in [*(place / "run").rglob("*"), place / "run"]:
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    assert read_overview(place / "run").state == state


NO_TORCH = """
import sys
from ganrun.cli.main import main

for args in (["runs"], ["runs", "du"], ["runs", "tag", "run", "a"], ["runs", "diff", "run", "run"], ["status", "run"],
             ["logs", "run"], ["stop", "run"], ["save", "run"], ["runs", "rm", "run", "--yes"]):
    main(args)
    assert not {"torch", "hydra", "pytorch_lightning"} & {*sys.modules}, args
"""


def test_the_commands_that_look_after_runs_import_neither_torch_nor_hydra(place):
    make_run(place / "run")
    root = Path(table.__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", NO_TORCH], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert not (place / "run").exists()
