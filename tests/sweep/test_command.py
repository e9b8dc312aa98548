"""Sweeps by the real command, each job a process."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from helpers.sweeps import read_leaderboard
from helpers.waiting import wait_until

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
    """Starts `ganrun` in a folder of its own; returns the process."""

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
            output, _ = process.communicate(timeout=500)
        return process.returncode, output

    return run


def weights(folder):
    name = json.loads((folder / "checkpoints" / "manifest.json").read_text())["last"]
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


def assert_same_weights(first: Path, second: Path):
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a if torch.is_tensor(a[name]))


def read_state(run_dir):
    return json.loads((run_dir / "status.json").read_text())["state"]


def jobs_of(folder):
    return [path for path in sorted(folder.iterdir()) if (path / "config.yaml").exists()]


def test_a_killed_sweep_continues_to_the_results_of_an_uninterrupted_one(start, run, tmp_path):
    words = ["model=gan,wgan", "seed=1,2", "kimg=4", *TINY, *SMALL, "sweep.name=s"]
    assert run(*words, folder="whole")[0] == 0
    whole, cut = (tmp_path / place / "outputs" / "sweeps" / "s" for place in ("whole", "cut"))
    with start("train", "-m", *words, folder="cut") as sweep:
        lines = cut / "2-model-wgan+seed-1" / "metrics.jsonl"
        wait_until(lambda: lines.exists() and len(lines.read_text().splitlines()) > 5)
        job = subprocess.run(["pgrep", "-P", str(sweep.pid)], capture_output=True, text=True).stdout.split()
        for pid in (str(sweep.pid), *job):
            os.kill(int(pid), signal.SIGKILL)
    assert json.loads((cut / "sweep.json").read_text())["jobs"][2]["state"] == "running"
    ended = {path.name: (path / "status.json").stat().st_mtime_ns for path in jobs_of(cut)[:2]}
    code, output = run(*words, folder="cut")
    assert code == 0
    assert "4 jobs, 2 of them done" in output
    assert {path.name: (path / "status.json").stat().st_mtime_ns for path in jobs_of(cut)[:2]} == ended
    assert read_leaderboard(cut) == read_leaderboard(whole)
    assert len(read_leaderboard(cut)) == 4
    for mine, theirs in zip(jobs_of(cut), jobs_of(whole), strict=True):
        assert_same_weights(mine, theirs)


def test_failures_are_explained_and_only_they_are_retried_by_the_next_start(run, tmp_path):
    words = ["model=gan", "model._target_=mine.Model", "seed=0,1,2,3,4,5", "kimg=1", *TINY, *SMALL, "folder=s"]
    code, output = run(*words, MISHAPS="raise,nan,kill")
    assert code == 1
    assert "3 of 6 jobs failed: 1-seed-1, 3-seed-3, 4-seed-4" in output
    rows = {row["seed"]: row for row in read_leaderboard(tmp_path / "s")}
    assert [rows[str(seed)]["state"] for seed in range(6)] == ["done", "failed", "done", "failed", "failed", "done"]
    assert rows["1"]["error"] == "RuntimeError: the first one is lost"
    assert "train/discriminator/loss became NaN at 0.62 kimg (batch 31)" in rows["3"]["error"]
    assert rows["4"]["error"] == "killed by signal 9"
    assert "the first one is lost" in (tmp_path / "s" / "logs" / "1-seed-1.log").read_text()
    code, output = run(*words)
    assert code == 0
    assert "6 jobs, 3 of them done" in output
    assert [line.split()[1].rstrip(":") for line in output.splitlines() if line.startswith("job ")] == [
        "1-seed-1",
        "3-seed-3",
        "4-seed-4",
    ]
    assert {row["state"] for row in read_leaderboard(tmp_path / "s")} == {"done"}


def test_two_jobs_at_a_time_give_the_same_weights_and_take_less_time(run, tmp_path):
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


def test_a_refused_sweep_leaves_no_folder(run, tmp_path):
    (tmp_path / "mine" / "empty").mkdir(parents=True)
    code, output = run("model=dcgan", "data=ring,grid", "folder=mine/empty/new/s")
    assert code == 2
    assert "Nothing was started" in output
    assert "data=ring gives" in output
    assert [*(tmp_path / "mine").rglob("*")] == [tmp_path / "mine" / "empty"]


def test_a_fresh_start_moves_the_earlier_sweep_aside(run, tmp_path):
    words = ["model=gan", "seed=1,2", "kimg=0.4", *TINY, *SMALL, "folder=s"]
    assert run(*words)[0] == 0
    code, output = run(*words, "sweep.fresh=true")
    assert code == 0, output
    assert "2 jobs, " not in output
    (aside,) = tmp_path.glob("s-until-*")
    assert read_leaderboard(aside) == read_leaderboard(tmp_path / "s")


def test_two_jobs_of_two_ranks_each_write_only_to_their_folders(run, tmp_path):
    ranks = ["trainer.accelerator=cpu", "trainer.devices=2"]
    code, output = run("model=gan", "seed=1,2", "kimg=1", *TINY, *SMALL, *ranks, "sweep.jobs=2", "folder=s")
    assert code == 0, output
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "s"}
    folders = {path.name for path in (tmp_path / "s").iterdir() if path.is_dir()}
    assert folders == {"0-seed-1", "1-seed-2", "logs", ".runners"}
    assert [row["state"] for row in read_leaderboard(tmp_path / "s")] == ["done", "done"]


def test_an_interrupted_search_continues_with_the_same_points(start, run, tmp_path):
    axes = ["optimizer.lr=tag(log,interval(1e-5,1e-2))", "optimizer.betas.0=interval(0,0.9)"]
    words = ["model=gan", *axes, "kimg=0.4", *TINY, *SMALL, "sweep=tpe", "sweep.trials=4", "folder=s"]
    assert run(*words, folder="whole")[0] == 0
    cut = tmp_path / "cut" / "s"
    with start("train", "-m", *words, folder="cut") as sweep:
        wait_until(lambda: len(jobs_of(cut)) == 3 if cut.exists() else False)
        sweep.send_signal(signal.SIGTERM)
        sweep.communicate(timeout=100)
    assert sweep.returncode == 143
    code, output = run(*words, folder="cut")
    assert code == 0
    assert "4 jobs, 2 of them done" in output
    assert read_leaderboard(cut) == read_leaderboard(tmp_path / "whole" / "s")


def test_more_trials_continue_the_study(run, tmp_path):
    words = ["model=gan", "optimizer.lr=interval(0.001,0.002)", "kimg=0.4", *TINY, *SMALL, "sweep=random", "folder=s"]
    assert run(*words, "sweep.trials=2")[0] == 0
    code, output = run(*words, "sweep.trials=3")
    assert code == 0
    assert "3 jobs, 2 of them done" in output
    assert len(read_leaderboard(tmp_path / "s")) == 3


def test_a_named_search_is_resumed_by_its_name(start, run, tmp_path):
    axes = ["optimizer.lr=interval(0.001,0.002)", "sweep=random", "sweep.trials=1", "sweep.name=s"]
    shared = f"sweep.storage='sqlite:///{tmp_path}/studies.db'"
    assert run("model=gan", *axes, shared, "kimg=0.4", *TINY, *SMALL)[0] == 0
    with start("sweep", "resume", "s", "trust=true", "sweep.trials=2") as resumed:
        output, _ = resumed.communicate(timeout=100)
    assert resumed.returncode == 0, output
    rows = read_leaderboard(tmp_path / "outputs" / "sweeps" / "s")
    assert len({row["optimizer.lr"] for row in rows}) == 2
    with start("sweep", "resume", "s", "trust=true", "sweep.storage=null") as moved:
        output, _ = moved.communicate(timeout=100)
    assert moved.returncode == 2
    assert "sweep.storage cannot change when a sweep is resumed" in output
    with start("sweep", "resume", "s", "trust=true", "kimg=4") as longer:
        output, _ = longer.communicate(timeout=100)
    job = next((tmp_path / "outputs" / "sweeps" / "s").glob("0-*")).name
    assert longer.returncode == 2
    assert f"To train one of its runs longer: ganrun resume outputs/sweeps/s/{job} kimg=4" in output
    with start("sweep", "resume", "s", "trust=true", "sweep.fresh=true") as anew:
        output, _ = anew.communicate(timeout=100)
    assert anew.returncode == 2
    assert "The study s is in sqlite" in output


def test_two_processes_share_a_sweep_and_no_job_is_trained_twice(start, run, tmp_path):
    """As on two machines with a common folder. The first is killed, and the other takes over its jobs."""
    words = ["train", "-m", "model=gan", "seed=1,2,3,4,5,6", "kimg=4", *TINY, *SMALL, "folder=s"]
    with start(*words) as first, start(*words) as second:
        wait_until(lambda: len(jobs_of(tmp_path / "s")) >= 3 if (tmp_path / "s").exists() else False)
        jobs = subprocess.run(["pgrep", "-P", str(first.pid)], capture_output=True, text=True).stdout.split()
        for pid in (str(first.pid), *jobs):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        # The first may not have said yet that a job of it has ended
        unsaid = [f"{path.name}:" for path in jobs_of(tmp_path / "s") if read_state(path) == "done"]
        output, _ = second.communicate(timeout=300)
        early = first.stdout.read()
    assert second.returncode == 0
    ends = [line.split()[1] for line in (early + output).splitlines() if line.startswith("job ") and ": done" in line]
    names = [f"{i}-seed-{i + 1}:" for i in range(6)]
    assert sorted(ends) == [name for name in names if name in ends or name not in unsaid]
    assert [row["state"] for row in read_leaderboard(tmp_path / "s")] == ["done"] * 6
    alone = run(*words[2:-1], folder="alone")
    assert alone[0] == 0
    (whole,) = (tmp_path / "alone" / "outputs" / "sweeps").iterdir()
    for mine, theirs in zip(jobs_of(tmp_path / "s"), jobs_of(whole), strict=True):
        assert_same_weights(mine, theirs)


def test_two_folders_share_a_study_in_a_database_and_no_point_is_trained_twice(start, run, tmp_path):
    """As on two machines without a common folder. Random points depend only on the seed and their numbers, so they are
    those of a single sweep."""
    axes = ["optimizer.lr=tag(log,interval(1e-4,1e-2))", "sweep=random", "sweep.trials=6", "sweep.name=s", "seed=1,2"]
    words = ["train", "-m", "model=gan", *axes, "kimg=1", *TINY, *SMALL]
    shared = [*words, f"sweep.storage='sqlite:///{tmp_path}/studies.db'"]
    with start(*shared, folder="a") as first, start(*shared, folder="b") as second:
        output = [process.communicate(timeout=300)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), output
    rows = [read_leaderboard(tmp_path / place / "outputs" / "sweeps" / "s") for place in "ab"]
    assert len(rows[0]) + len(rows[1]) == 12
    assert min(map(len, rows)) > 0
    for place, others, text in zip("ba", reversed(rows), output, strict=True):
        assert f"{len(others) // 2} of 6 points of the study s are trained by " in text
        assert f"{tmp_path / place}/outputs/sweeps/s, the best of them with " in text
    assert run(*words[2:], folder="alone")[0] == 0
    alone = read_leaderboard(tmp_path / "alone" / "outputs" / "sweeps" / "s")
    columns = ("optimizer.lr", "seed", "score")
    assert sorted([row[c] for c in columns] for row in rows[0] + rows[1]) == sorted(
        [row[c] for c in columns] for row in alone
    )
    code, output = run(*shared[2:], "sweep.fresh=true", folder="a")
    assert code == 2
    assert "The study s is in sqlite:" in output
    assert len(read_leaderboard(tmp_path / "a" / "outputs" / "sweeps" / "s")) == len(rows[0])


def test_a_hydra_launcher_runs_batches_and_a_failed_job_does_not_stop_the_others(run, tmp_path):
    words = ["model=gan", "model._target_=mine.Model", "seed=0,1,2,4", "kimg=1", *TINY, *SMALL]
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep.jobs=3", "folder=by joblib"]
    code, output = run(*words, *joblib, MISHAPS="raise,kill")
    assert code == 1, output
    assert "2 of 4 jobs failed: 1-seed-1, 3-seed-4" in output
    rows = read_leaderboard(tmp_path / "by joblib")
    assert {row["seed"]: row["error"] for row in rows} == {
        "0": "",
        "1": "RuntimeError: the first one is lost",
        "2": "",
        "4": "killed by signal 9",
    }
    code, output = run(*words, *joblib)
    assert code == 0, output
    assert "4 jobs, 2 of them done" in output
    assert run(*words, "folder=here")[0] == 0
    for mine, theirs in zip(jobs_of(tmp_path / "by joblib"), jobs_of(tmp_path / "here"), strict=True):
        assert_same_weights(mine, theirs)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "by joblib", "here"}


def test_jobs_of_an_interrupted_launcher_save(start, run, tmp_path):
    """Ctrl-C in a terminal sends the signal to all processes of the group."""
    words = ["model=gan", "seed=1,2", "kimg=200", "checkpoint.kimg=1000", *TINY, *SMALL, "folder=s"]
    words += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep.jobs=2"]
    lines = tmp_path / "s" / "1-seed-2" / "metrics.jsonl"
    with start("train", "-m", *words) as sweep:
        wait_until(lambda: lines.exists() and len(lines.read_text().splitlines()) > 5)
        family = [str(sweep.pid)]
        for pid in family:
            family += subprocess.run(["pgrep", "-P", pid], capture_output=True, text=True).stdout.split()
        for pid in family:
            if os.path.exists(f"/proc/{pid}") and os.getpgid(int(pid)) == os.getpgid(sweep.pid):
                os.kill(int(pid), signal.SIGINT)
        output, _ = sweep.communicate(timeout=100)
    assert sweep.returncode == 130, output
    for folder in jobs_of(tmp_path / "s"):
        assert json.loads((folder / "status.json").read_text())["state"] == "interrupted"
        assert (folder / "checkpoints" / "manifest.json").exists()
    assert [row["state"] for row in read_leaderboard(tmp_path / "s")] == ["interrupted"] * 2


def test_a_second_ctrl_c_kills_the_jobs_and_the_sweep_can_be_resumed(start, run, tmp_path):
    words = ["model=gan", "seed=1,2,3", "kimg=4", *TINY, *SMALL, "sweep.jobs=2", "folder=s"]
    lines = tmp_path / "s" / "1-seed-2" / "metrics.jsonl"
    with start("train", "-m", *words) as sweep:
        wait_until(lambda: lines.exists() and len(lines.read_text().splitlines()) > 5)
        sweep.send_signal(signal.SIGINT)
        time.sleep(0.1)
        sweep.send_signal(signal.SIGINT)
        output, _ = sweep.communicate(timeout=100)
    assert sweep.returncode == 130, output
    states = [job["state"] for job in json.loads((tmp_path / "s" / "sweep.json").read_text())["jobs"]]
    assert "running" not in states
    assert len(states) == len(read_leaderboard(tmp_path / "s")) == 3
    assert run(*words)[0] == 0
    assert {row["state"] for row in read_leaderboard(tmp_path / "s")} == {"done"}


def test_two_sweeps_may_create_a_database_at_the_same_time(start, tmp_path):
    axes = ["optimizer.lr=interval(0.001,0.002)", "sweep=random", "sweep.trials=4", "sweep.name=s", "kimg=0.2"]
    words = ["train", "-m", "model=gan", *axes, *TINY, *SMALL]
    for attempt in range(3):
        shared = [*words, f"sweep.storage='sqlite:///{tmp_path}/{attempt}.db'"]
        with start(*shared, folder=f"a{attempt}") as first, start(*shared, folder=f"b{attempt}") as second:
            output = [process.communicate(timeout=300)[0] for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0), output


LOST = """
import math
import re
import sys

from ganrun.metrics.scores import Score


def compute(inputs):
    job = int(re.search(r"/s/(\\d+)-", " ".join(sys.argv))[1])
    return [math.nan, 2.0, math.inf, 1.0][job]


lost = Score("lost", better="lower", note="NaN in some jobs", needs=("features",), compute=compute)
"""


def test_a_search_goes_on_past_trials_whose_score_is_nan_and_shows_them_as_unscored(run, tmp_path):
    (tmp_path / "lost.py").write_text(LOST)
    digits = ["model=gan", "data=digits", "batch_size=4", "kimg=0.032", "validate_kimg=0.016", "logger=none", *SMALL]
    scores = ["metrics.samples=20", "metrics.reference=200", "metrics.scores=[fd,{_target_:lost.lost}]"]
    search = ["sweep=tpe", "sweep.trials=4", "sweep.metric=val/lost_lenet", "sweep.direction=min", "sweep.name=s"]
    code, output = run(*digits, *scores, *search, "optimizer.lr=tag(log,interval(1e-5,1e-2))")
    assert code == 0, output
    rows = read_leaderboard(tmp_path / "outputs" / "sweeps" / "s")
    assert [(row["rank"], row["job"], row["state"], row["score"]) for row in rows] == [
        ("1", "3", "done", "1.0"),
        ("2", "1", "done", "2.0"),
        ("", "0", "done", ""),
        ("", "2", "done", ""),
    ]
    assert output.count("0/1, no score") == 2
    assert output.count(", no finite val/lost_lenet") == 2
    study = (tmp_path / "outputs/sweeps/s/study.journal").read_text()
    assert "NaN" not in study
    assert "Infinity" not in study
