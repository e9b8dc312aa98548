"""Sweeps by the real command, each job a process."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow
TINY = ["data=ring", "batch_size=20", "metrics.samples=50", "logger=none", "log_every=5"]
SMALL = ["network.generator.hidden=[8]", "network.discriminator.hidden=[8]"]
MINE = """
import os

from ganrun.models.gan import GAN


class Model(GAN):
    def discriminator_loss(self, batch):
        mishap = os.environ.get("MISHAPS", "").split(",")
        if self.batches_seen == 30:
            if "raise" in mishap and self.seed == 1:
                raise RuntimeError("the first one is lost")
            if "nan" in mishap and self.seed == 3:
                return (self.score(batch["x"], batch) * float("nan")).mean()
            if "kill" in mishap and self.seed == 4:
                os.kill(os.getpid(), 9)
        return super().discriminator_loss(batch)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def start(tmp_path, cache):
    """Starts `ganrun train -m` in a folder of its own; the process and what it says."""

    def start(*words, folder="", **settings):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / "mine.py").write_text(MINE)
        return subprocess.Popen(
            [sys.executable, "-m", "ganrun", *words],
            cwd=place,
            env={**os.environ, "OMP_NUM_THREADS": "1", "GANRUN_CACHE": cache, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.fixture
def run(start):
    def run(*words, **settings):
        with start("train", "-m", *words, **settings) as process:
            said, _ = process.communicate(timeout=500)
        return process.returncode, said

    return run


def board(folder):
    with (folder / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(folder):
    name = json.loads((folder / "checkpoints" / "manifest.json").read_text())["last"]
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


def assert_same_weights(first: Path, second: Path):
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a if torch.is_tensor(a[name]))


def jobs_of(folder):
    return [path for path in sorted(folder.iterdir()) if (path / "config.yaml").exists()]


def until(holds, seconds=200):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_sweep_that_was_killed_as_a_whole_goes_on_to_the_numbers_of_one_that_was_not(start, run, tmp_path):
    words = ["model=gan,wgan", "seed=1,2", "kimg=4", *TINY, *SMALL, "sweep.name=s"]
    assert run(*words, folder="whole")[0] == 0
    whole, cut = (tmp_path / place / "outputs" / "sweeps" / "s" for place in ("whole", "cut"))
    with start("train", "-m", *words, folder="cut") as sweep:
        lines = cut / "2-model-wgan+seed-1" / "metrics.jsonl"
        until(lambda: lines.exists() and len(lines.read_text().splitlines()) > 5)
        job = subprocess.run(["pgrep", "-P", str(sweep.pid)], capture_output=True, text=True).stdout.split()
        for pid in (str(sweep.pid), *job):
            os.kill(int(pid), signal.SIGKILL)
    assert json.loads((cut / "sweep.json").read_text())["jobs"][2]["state"] == "running"
    ended = {path.name: (path / "status.json").stat().st_mtime_ns for path in jobs_of(cut)[:2]}
    code, said = run(*words, folder="cut")
    assert code == 0
    assert "4 jobs, 2 of them done" in said
    assert {path.name: (path / "status.json").stat().st_mtime_ns for path in jobs_of(cut)[:2]} == ended
    assert board(cut) == board(whole)
    assert len(board(cut)) == 4
    for mine, theirs in zip(jobs_of(cut), jobs_of(whole), strict=True):
        assert_same_weights(mine, theirs)


def test_failures_are_explained_and_the_next_start_takes_up_those_alone(run, tmp_path):
    words = ["model=gan", "model._target_=mine.Model", "seed=0,1,2,3,4,5", "kimg=1", *TINY, *SMALL, "folder=s"]
    code, said = run(*words, MISHAPS="raise,nan,kill")
    assert code == 1
    assert "3 of 6 jobs failed: 1-seed-1, 3-seed-3, 4-seed-4" in said
    rows = {row["seed"]: row for row in board(tmp_path / "s")}
    assert [rows[str(seed)]["state"] for seed in range(6)] == ["done", "failed", "done", "failed", "failed", "done"]
    assert rows["1"]["error"] == "RuntimeError: the first one is lost"
    assert "train/discriminator/loss became NaN at 0.62 kimg (batch 31)" in rows["3"]["error"]
    assert rows["4"]["error"] == "killed by signal 9"
    assert "the first one is lost" in (tmp_path / "s" / "logs" / "1-seed-1.log").read_text()
    code, said = run(*words)
    assert code == 0
    assert "6 jobs, 3 of them done" in said
    assert [line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("job ")] == [
        "1-seed-1",
        "3-seed-3",
        "4-seed-4",
    ]
    assert {row["state"] for row in board(tmp_path / "s")} == {"done"}


def test_two_jobs_at_a_time_end_at_the_same_weights_and_sooner(run, tmp_path):
    words = ["model=gan", "seed=1,2,3,4", "kimg=20", *TINY, *SMALL]
    seconds = {}
    for jobs in (1, 2):
        began = time.monotonic()
        assert run(*words, f"sweep.jobs={jobs}", f"folder=by{jobs}")[0] == 0
        seconds[jobs] = time.monotonic() - began
    print(seconds)
    for mine, theirs in zip(jobs_of(tmp_path / "by1"), jobs_of(tmp_path / "by2"), strict=True):
        assert_same_weights(mine, theirs)
    assert seconds[2] < 0.85 * seconds[1]  # .6 on two free cores


def test_a_refused_sweep_leaves_nothing_but_its_reason(run, tmp_path):
    (tmp_path / "mine" / "empty").mkdir(parents=True)
    code, said = run("model=dcgan", "data=ring,grid", "folder=mine/empty/new/s")
    assert code == 2
    assert "data=ring gives" in said
    assert "data=grid gives" in said
    assert [*(tmp_path / "mine").rglob("*")] == [tmp_path / "mine" / "empty"]


def test_a_fresh_start_moves_aside_what_there_was(run, tmp_path):
    words = ["model=gan", "seed=1,2", "kimg=0.4", *TINY, *SMALL, "folder=s"]
    assert run(*words)[0] == 0
    code, said = run(*words, "sweep.fresh=true")
    assert code == 0, said
    assert "2 jobs, " not in said
    (aside,) = tmp_path.glob("s-until-*")
    assert board(aside) == board(tmp_path / "s")


def test_two_jobs_of_two_ranks_each_lie_in_their_folders_and_nowhere_else(run, tmp_path):
    ranks = ["trainer.accelerator=cpu", "trainer.devices=2"]
    code, said = run("model=gan", "seed=1,2", "kimg=1", *TINY, *SMALL, *ranks, "sweep.jobs=2", "folder=s")
    assert code == 0, said
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "s"}
    folders = {path.name for path in (tmp_path / "s").iterdir() if path.is_dir()}
    assert folders == {"0-seed-1", "1-seed-2", "logs", ".runners"}
    assert [row["state"] for row in board(tmp_path / "s")] == ["done", "done"]


def test_a_study_that_is_cut_off_goes_on_to_the_same_points(start, run, tmp_path):
    law = ["optimizer.lr=tag(log,interval(1e-5,1e-2))", "optimizer.betas.0=interval(0,0.9)"]
    words = ["model=gan", *law, "kimg=0.4", *TINY, *SMALL, "sweep=tpe", "sweep.trials=4", "folder=s"]
    assert run(*words, folder="whole")[0] == 0
    cut = tmp_path / "cut" / "s"
    with start("train", "-m", *words, folder="cut") as sweep:
        until(lambda: len(jobs_of(cut)) == 3 if cut.exists() else False)
        sweep.send_signal(signal.SIGTERM)
        sweep.communicate(timeout=100)
    assert sweep.returncode == 143
    code, said = run(*words, folder="cut")
    assert code == 0
    assert "4 jobs, 2 of them done" in said
    assert board(cut) == board(tmp_path / "whole" / "s")


def test_more_trials_go_on_with_the_study(run, tmp_path):
    words = ["model=gan", "optimizer.lr=interval(0.001,0.002)", "kimg=0.4", *TINY, *SMALL, "sweep=random", "folder=s"]
    assert run(*words, "sweep.trials=2")[0] == 0
    code, said = run(*words, "sweep.trials=3")
    assert code == 0
    assert "3 jobs, 2 of them done" in said
    assert len(board(tmp_path / "s")) == 3


def test_a_named_search_is_gone_on_with_by_its_name(start, run, tmp_path):
    law = ["optimizer.lr=interval(0.001,0.002)", "sweep=random", "sweep.trials=1", "sweep.name=s"]
    shared = f"sweep.storage='sqlite:///{tmp_path}/studies.db'"
    assert run("model=gan", *law, shared, "kimg=0.4", *TINY, *SMALL)[0] == 0
    with start("sweep", "resume", "s", "sweep.trials=2") as resumed:
        said, _ = resumed.communicate(timeout=100)
    assert resumed.returncode == 0, said
    rows = board(tmp_path / "outputs" / "sweeps" / "s")
    assert len({row["optimizer.lr"] for row in rows}) == 2
    with start("sweep", "resume", "s", "sweep.storage=null") as moved:
        said, _ = moved.communicate(timeout=100)
    assert moved.returncode == 2
    assert "sweep.storage cannot change when a sweep is resumed" in said
    with start("sweep", "resume", "s", "sweep.fresh=true") as anew:
        said, _ = anew.communicate(timeout=100)
    assert anew.returncode == 2
    assert "The study s is in sqlite" in said


def test_two_processes_share_a_sweep_and_no_job_is_trained_twice(start, run, tmp_path):
    """As two machines with one folder would; the first is killed on the way, and the other takes over what it had."""
    words = ["train", "-m", "model=gan", "seed=1,2,3,4,5,6", "kimg=4", *TINY, *SMALL, "folder=s"]
    with start(*words) as first, start(*words) as second:
        until(lambda: len(jobs_of(tmp_path / "s")) >= 3 if (tmp_path / "s").exists() else False)
        jobs = subprocess.run(["pgrep", "-P", str(first.pid)], capture_output=True, text=True).stdout.split()
        for pid in (str(first.pid), *jobs):
            os.kill(int(pid), signal.SIGKILL)
        said, _ = second.communicate(timeout=300)
        early = first.stdout.read()
    assert second.returncode == 0
    ends = [line.split()[1] for line in (early + said).splitlines() if line.startswith("job ") and ": done" in line]
    assert sorted(ends) == [f"{i}-seed-{i + 1}:" for i in range(6)]
    assert [row["state"] for row in board(tmp_path / "s")] == ["done"] * 6
    alone = run(*words[2:-1], folder="alone")
    assert alone[0] == 0
    (whole,) = (tmp_path / "alone" / "outputs" / "sweeps").iterdir()
    for mine, theirs in zip(jobs_of(tmp_path / "s"), jobs_of(whole), strict=True):
        assert_same_weights(mine, theirs)


def test_two_folders_share_a_study_in_a_database_and_no_point_is_trained_twice(start, run, tmp_path):
    """As two machines without a common folder would. A point's seeds depend on its number alone: random ones are those
    of a sweep that is alone."""
    law = ["optimizer.lr=tag(log,interval(1e-4,1e-2))", "sweep=random", "sweep.trials=6", "sweep.name=s", "seed=1,2"]
    words = ["train", "-m", "model=gan", *law, "kimg=1", *TINY, *SMALL]
    shared = [*words, f"sweep.storage='sqlite:///{tmp_path}/studies.db'"]
    with start(*shared, folder="a") as first, start(*shared, folder="b") as second:
        said = [process.communicate(timeout=300)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    rows = [board(tmp_path / place / "outputs" / "sweeps" / "s") for place in "ab"]
    assert len(rows[0]) + len(rows[1]) == 12
    assert min(map(len, rows)) > 0
    for place, others, told in zip("ba", reversed(rows), said, strict=True):
        assert f"{len(others) // 2} of 6 points of the study s are trained by " in told
        assert f"{tmp_path / place}/outputs/sweeps/s, the best of them with " in told
    assert run(*words[2:], folder="alone")[0] == 0
    alone = board(tmp_path / "alone" / "outputs" / "sweeps" / "s")
    columns = ("optimizer.lr", "seed", "score")
    assert sorted([row[c] for c in columns] for row in rows[0] + rows[1]) == sorted(
        [row[c] for c in columns] for row in alone
    )
    code, told = run(*shared[2:], "sweep.fresh=true", folder="a")
    assert code == 2
    assert "The study s is in sqlite:" in told
    assert len(board(tmp_path / "a" / "outputs" / "sweeps" / "s")) == len(rows[0])


def test_another_launcher_of_hydras_is_given_batches_and_failures_stay_for_themselves(run, tmp_path):
    words = ["model=gan", "model._target_=mine.Model", "seed=0,1,2,4", "kimg=1", *TINY, *SMALL]
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep.jobs=3", "folder=by joblib"]
    code, said = run(*words, *joblib, MISHAPS="raise,kill")
    assert code == 1, said
    assert "2 of 4 jobs failed: 1-seed-1, 3-seed-4" in said
    rows = board(tmp_path / "by joblib")
    assert {row["seed"]: row["error"] for row in rows} == {
        "0": "",
        "1": "RuntimeError: the first one is lost",
        "2": "",
        "4": "killed by signal 9",
    }
    code, said = run(*words, *joblib)
    assert code == 0, said
    assert "4 jobs, 2 of them done" in said
    assert run(*words, "folder=here")[0] == 0
    for mine, theirs in zip(jobs_of(tmp_path / "by joblib"), jobs_of(tmp_path / "here"), strict=True):
        assert_same_weights(mine, theirs)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "by joblib", "here"}


def test_jobs_of_a_launcher_that_is_interrupted_save_and_go_on(start, run, tmp_path):
    """Ctrl-C in a terminal: all processes of its group get the signal."""
    words = ["model=gan", "seed=1,2", "kimg=200", "checkpoint.kimg=1000", *TINY, *SMALL, "folder=s"]
    words += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep.jobs=2"]
    lines = tmp_path / "s" / "1-seed-2" / "metrics.jsonl"
    with start("train", "-m", *words) as sweep:
        until(lambda: lines.exists() and len(lines.read_text().splitlines()) > 5)
        family = [str(sweep.pid)]
        for pid in family:
            family += subprocess.run(["pgrep", "-P", pid], capture_output=True, text=True).stdout.split()
        for pid in family:
            if os.path.exists(f"/proc/{pid}") and os.getpgid(int(pid)) == os.getpgid(sweep.pid):
                os.kill(int(pid), signal.SIGINT)
        said, _ = sweep.communicate(timeout=100)
    assert sweep.returncode == 130, said
    for folder in jobs_of(tmp_path / "s"):
        assert json.loads((folder / "status.json").read_text())["state"] == "interrupted"
        assert (folder / "checkpoints" / "manifest.json").exists()
    assert [row["state"] for row in board(tmp_path / "s")] == ["interrupted"] * 2


def test_a_second_ctrl_c_stops_at_once_and_what_it_stopped_can_be_gone_on_with(start, run, tmp_path):
    words = ["model=gan", "seed=1,2,3", "kimg=4", *TINY, *SMALL, "sweep.jobs=2", "folder=s"]
    lines = tmp_path / "s" / "1-seed-2" / "metrics.jsonl"
    with start("train", "-m", *words) as sweep:
        until(lambda: lines.exists() and len(lines.read_text().splitlines()) > 5)
        sweep.send_signal(signal.SIGINT)
        time.sleep(0.1)
        sweep.send_signal(signal.SIGINT)
        said, _ = sweep.communicate(timeout=100)
    assert sweep.returncode == 130, said
    states = [job["state"] for job in json.loads((tmp_path / "s" / "sweep.json").read_text())["jobs"]]
    assert "running" not in states
    assert len(states) == len(board(tmp_path / "s")) == 3
    assert run(*words)[0] == 0
    assert {row["state"] for row in board(tmp_path / "s")} == {"done"}


def test_two_that_begin_a_database_at_once_both_get_it(start, tmp_path):
    law = ["optimizer.lr=interval(0.001,0.002)", "sweep=random", "sweep.trials=4", "sweep.name=s", "kimg=0.2"]
    words = ["train", "-m", "model=gan", *law, *TINY, *SMALL]
    for attempt in range(3):
        shared = [*words, f"sweep.storage='sqlite:///{tmp_path}/{attempt}.db'"]
        with start(*shared, folder=f"a{attempt}") as first, start(*shared, folder=f"b{attempt}") as second:
            said = [process.communicate(timeout=300)[0] for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0), said
