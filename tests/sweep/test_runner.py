"""The course of a sweep whose jobs are fakes: each writes a run folder and ends with an exit code."""

import json
import math
from pathlib import Path

import pytest

from ganrun.files import outputs_dir
from ganrun.sweep import runner, state, sweeper
from ganrun.sweep.executors.base import FinishedJob
from ganrun.sweep.runner import Runner
from ganrun.sweep.search.space import Axis, SearchSpace
from ganrun.sweep.search.strategy import GridSearch, StudyUnreachable

METRIC = "val/fd"


def write_run(folder: Path, score: float, run_state="done", kimg=1.0):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(f"metrics:\n  monitor: {METRIC}\n  mode: min\n")
    (folder / "status.json").write_text(json.dumps({"state": run_state, "kimg": kimg, "seconds": 1.0}))
    (folder / "metrics.jsonl").write_text(json.dumps({"kimg": kimg, METRIC: score, "protocol": {"n": 1}}) + "\n")


class FakeExecutor:
    """An executor whose jobs do `act(job number, its start)` at once: a score, or an exit code with a message."""

    def __init__(self, folder, act, size=1):
        self.folder, self.act, self.size, self.jobs = folder, act, size, {}
        self.started, self.most = [], 0

    def has_room(self):
        return len(self.jobs) < self.size

    def release(self):
        self.has_released = True

    def submit(self, number, args, log):
        found = self.act(number, self.started.count(number))
        self.started.append(number)
        code, message = found if isinstance(found, tuple) else (0, "")
        if not isinstance(found, tuple):
            write_run(self.folder / args[-1], found)
        self.jobs[number] = FinishedJob(code, message)
        self.most = max(self.most, len(self.jobs))
        return True

    def wait(self, seconds):
        pass

    def poll(self):
        over, self.jobs = self.jobs, {}
        return over

    stop = poll


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(runner.time, "sleep", lambda _: None)


@pytest.fixture
def sweep(tmp_path):
    """Runs a sweep of two learning rates and three seeds, from the state that an earlier call left."""

    def run(act, size=1, **settings):
        space = SearchSpace(axes=[Axis("lr", ("1", "2"))], seeds=[5, 6, 7])
        known = state.load_sweep(tmp_path / "sweep", {"a": 1})
        known.folder.mkdir(exist_ok=True)
        executor = FakeExecutor(known.folder, act, size)
        finished = Runner(known, GridSearch(space), executor, space.seeds, lambda job: [job.name], **settings)
        finished.run()
        return finished

    return run


def states(finished):
    return [job.state for job in finished.state.jobs]


def test_each_point_is_trained_with_each_seed_in_order(sweep):
    finished = sweep(lambda number, start: float(number))
    assert [(job.number, job.values, job.seed) for job in finished.state.jobs] == [
        (i, {"lr": lr}, seed) for i, (lr, seed) in enumerate((lr, seed) for lr in "12" for seed in (5, 6, 7))
    ]
    assert [job.name for job in finished.state.jobs][:2] == ["0-lr-1+seed-5", "1-lr-1+seed-6"]
    assert finished.executor.started == [0, 1, 2, 3, 4, 5]
    assert states(finished) == ["done"] * 6
    assert (finished.best[0].score, finished.best[1]) == (0.0, "0-lr-1+seed-5")


def test_jobs_that_did_not_start_are_recorded(sweep, tmp_path):
    def stop(number, start):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(stop)
    assert [job.state for job in state.load_sweep(tmp_path / "sweep").jobs] == ["waiting"] * 6


def test_the_best_of_an_earlier_start_stays_the_best(sweep):
    sweep(lambda number, start: 0.25 if number == 1 else (1, "x"), fail_fast=6)
    finished = sweep(lambda number, start: 0.5)
    assert (finished.best[0].score, finished.best[1]) == (0.25, "1-lr-1+seed-6")


def test_a_failed_job_does_not_stop_the_others_and_only_it_is_retried_by_the_next_start(sweep, caplog):
    caplog.set_level("INFO", "ganrun")
    bad = {1: (1, "RuntimeError: lost"), 3: (-9, ""), 4: (2, "lr=2 does not do")}
    finished = sweep(lambda number, start: bad.get(number, 0.5))
    assert states(finished) == ["done", "failed", "done", "failed", "refused", "done"]
    assert [finished.state.jobs[i].error for i in bad] == [
        "RuntimeError: lost",
        "killed by signal 9",
        "lr=2 does not do",
    ]
    assert "job 1-lr-1+seed-6: failed, 0:00: RuntimeError: lost" in caplog.text
    again = sweep(lambda number, start: 0.25)
    assert again.executor.started == [1, 3, 4]
    assert states(again) == ["done"] * 6
    assert [job.error for job in again.state.jobs] == [""] * 6


def test_a_failed_job_is_started_again_as_often_as_asked(sweep):
    finished = sweep(lambda number, start: (1, "x") if number == 1 and start < 2 else 0.5, retries=2)
    assert finished.executor.started == [0, 1, 1, 1, 2, 3, 4, 5]
    assert states(finished) == ["done"] * 6


def test_a_refused_job_is_not_started_again(sweep):
    finished = sweep(lambda number, start: (2, "x") if number == 1 else 0.5, retries=2)
    assert finished.executor.started == [0, 1, 2, 3, 4, 5]


def test_a_sweep_gives_up_if_the_first_jobs_all_fail(sweep):
    finished = sweep(lambda number, start: (1, "x"), fail_fast=3)
    assert finished.executor.started == [0, 1, 2]
    assert "first 3 jobs all failed" in finished.abort_reason
    assert not sweep(lambda number, start: 0.5, fail_fast=3).abort_reason


def test_later_failures_do_not_end_a_sweep(sweep):
    finished = sweep(lambda number, start: (1, "x") if number else 0.5, fail_fast=2)
    assert finished.executor.started == [0, 1, 2, 3, 4, 5]


def test_jobs_run_side_by_side(sweep):
    assert sweep(lambda number, start: 0.5, size=4).executor.most == 4


def test_jobs_of_a_killed_sweep_are_resumed_or_found_finished(sweep, tmp_path):
    """Job 1 finished before its end was recorded; job 2 was interrupted and is resumed."""

    def killed(number, start):
        if number == 2:
            write_run(tmp_path / "sweep" / "2-lr-1+seed-7", 0.1, "running")
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        sweep(killed)
    path = tmp_path / "sweep" / state.SWEEP_FILE
    saved = json.loads(path.read_text())
    saved["jobs"][1]["state"] = saved["jobs"][2]["state"] = "running"
    path.write_text(json.dumps(saved))
    again = sweep(lambda number, start: 0.25)
    assert again.executor.started == [2, 3, 4, 5]
    assert states(again) == ["done"] * 6


def test_the_mean_score_of_a_point_is_reported_once_all_its_seeds_are_done(sweep, monkeypatch):
    reported = []
    monkeypatch.setattr(GridSearch, "report", lambda self, k, score: reported.append((k, score)))
    sweep(lambda number, start: (1, "x") if number == 4 else float(number))
    assert reported == [(0, pytest.approx(1.0))]
    reported.clear()
    sweep(lambda number, start: 6.5)
    assert reported == [(0, pytest.approx(1.0)), (1, pytest.approx((3 + 6.5 + 5) / 3))]


def test_a_job_with_a_nan_score_is_done(sweep):
    finished = sweep(lambda number, start: math.nan)
    assert states(finished) == ["done"] * 6


def test_the_other_seeds_of_a_pruned_point_are_skipped(sweep, tmp_path):
    def act(number, start):
        write_run(tmp_path / "sweep" / "0-lr-1+seed-5", 9.0, "pruned")
        return (0, "") if number == 0 else 0.5

    finished = sweep(act)
    assert finished.executor.started == [0, 3, 4, 5]
    assert states(finished) == ["pruned"] * 3 + ["done"] * 3
    assert "another seed of this point was pruned" in finished.state.jobs[1].error


def test_a_pruned_point_is_reported_before_the_next_proposal(sweep, tmp_path, monkeypatch):
    calls = []
    propose = GridSearch.propose
    monkeypatch.setattr(GridSearch, "is_known", False)
    monkeypatch.setattr(GridSearch, "report", lambda self, k, score: calls.append((k, score)))
    monkeypatch.setattr(GridSearch, "propose", lambda self, known: (calls.append("next"), propose(self, known))[1])

    def act(number, start):
        write_run(tmp_path / "sweep" / "0-lr-1+seed-5", 9.0, "pruned")
        return (0, "") if number == 0 else 0.5

    sweep(act)
    assert calls[:3] == ["next", (0, 9.0), "next"]


def test_an_unreachable_study_is_tried_again(sweep, monkeypatch, caplog):
    """Running jobs continue, and their scores are reported later."""
    failures = {"propose": 2, "report": 3}
    reported = []
    propose = GridSearch.propose

    def flaky(name, work):
        def call(*words):
            failures[name] -= 1
            if failures[name] >= 0:
                raise StudyUnreachable("no database")
            return work(*words)

        return call

    monkeypatch.setattr(GridSearch, "propose", flaky("propose", propose))
    monkeypatch.setattr(GridSearch, "report", flaky("report", lambda self, k, score: reported.append((k, score))))
    finished = sweep(lambda number, start: 0.5)
    assert states(finished) == ["done"] * 6
    assert reported == [(0, 0.5), (1, 0.5)]
    assert caplog.text.count("no database") < 5


def test_a_job_that_finished_before_a_signal_is_done(sweep, tmp_path):
    """The executor returns the jobs that it has stopped; one of them had finished before."""

    def act(number, start):
        if number == 1:
            write_run(tmp_path / "sweep" / "1-lr-1+seed-6", 0.5, "interrupted")
            raise KeyboardInterrupt
        write_run(tmp_path / "sweep" / "0-lr-1+seed-5", 0.5)
        return (143, "")

    with pytest.raises(KeyboardInterrupt):
        sweep(act, size=2)
    assert [job.state for job in state.load_sweep(tmp_path / "sweep").jobs][:2] == ["done", "waiting"]


def test_reserved_gpus_are_released_if_no_job_can_start(sweep, monkeypatch):
    monkeypatch.setattr(
        runner.lock, "is_locked", lambda folder: folder.name.startswith("5") and not executors[0].waited
    )
    executors = []
    init = FakeExecutor.__init__
    monkeypatch.setattr(FakeExecutor, "__init__", lambda self, *words: (init(self, *words), executors.append(self))[0])

    looks = []

    def wait(_):
        looks.append(executors[0])
        executors[0].waited = getattr(executors[0], "has_released", False) or len(looks) > 100

    monkeypatch.setattr(FakeExecutor, "waited", False, raising=False)
    monkeypatch.setattr(runner.time, "sleep", wait)
    finished = sweep(lambda number, start: 0.5)
    assert getattr(finished.executor, "has_released", False)
    assert states(finished) == ["done"] * 6


@pytest.mark.parametrize(("others", "states", "stays"), [((), "refused", False), (("b",), "refused", True),
                                                         ((), "waiting", False), ((), "failed", True)])  # fmt: skip
def test_a_sweep_that_trained_nothing_is_removed_unless_others_use_it_or_a_log_explains_a_failure(
    others, states, stays, sweep, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO")
    (tmp_path / "mine").mkdir()
    folder = tmp_path / "mine" / "new" / "s"
    new = [folder, folder.parent]
    folder.mkdir(parents=True)
    known = state.SweepState(folder, {"fixed": [], "axes": [], "seeds": [0], "settings": {}}, [])
    known.jobs = [state.SweepJob(0, 0, {}, 0, "0", states)]
    known.save()
    monkeypatch.setattr(state.RunnerRegistry, "others", lambda self: set(others))
    finished = Runner(known, GridSearch(SearchSpace(seeds=[0])), FakeExecutor(folder, None), [0], lambda job: [])
    sweeper.conclude(finished, new)
    assert folder.exists() == stays
    assert (f"nothing was trained: {folder} is removed" in caplog.text) == (not stays)
    assert (tmp_path / "mine").exists()
    assert folder.parent.exists() == stays


def test_a_sweep_with_a_run_folder_is_never_removed(tmp_path):
    folder = tmp_path / "s"
    write_run(folder / "0", 1.0, "interrupted")
    known = state.SweepState(folder, {"fixed": [], "axes": [], "seeds": [0], "settings": {}}, [])
    known.jobs = [state.SweepJob(0, 0, {}, 0, "0", "waiting")]
    known.save()
    sweeper.conclude(
        Runner(known, GridSearch(SearchSpace(seeds=[0])), FakeExecutor(folder, None), [0], lambda job: []),
        [folder],
    )
    assert (folder / "0" / "status.json").exists()


def test_a_sweep_that_was_copied_without_its_lock_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        known = state.SweepState(outputs_dir("sweeps") / name, {"fixed": []}, [])
        known.folder.mkdir(parents=True)
        known.save()
    (outputs_dir("sweeps") / "b" / state.LOCK_FILE).touch()
    assert state.find_sweep("a") == outputs_dir("sweeps") / "a"
    assert state.find_sweep("last") == outputs_dir("sweeps") / "b"


def test_a_folder_of_another_sweep_is_refused(tmp_path):
    first = state.SweepState(tmp_path, {"fixed": ["a=1"], "axes": ["b=1,2"], "seeds": [0]})
    first.save()
    with pytest.raises(state.UserError, match=r"holds another sweep, a=1 b=1,2 seed=0; this one is .*sweep.fresh=true"):
        state.load_sweep(tmp_path, {"fixed": ["a=1"], "axes": ["b=1,3"], "seeds": [0]})
    (tmp_path / state.SWEEP_FILE).write_text("{")
    with pytest.raises(state.UserError, match="cannot be read"):
        state.load_sweep(tmp_path, first.definition)
    (tmp_path / state.SWEEP_FILE).unlink()
    (tmp_path / "mine").touch()
    with pytest.raises(state.UserError, match="holds no sweep"):
        state.load_sweep(tmp_path, first.definition)


def test_jobs_of_living_processes_are_left_to_them_and_those_of_dead_ones_are_taken_over(sweep, tmp_path, monkeypatch):
    """Job 1 runs in a living process and ends while this one waits; the process of job 2 has died."""
    sweep(lambda number, start: 0.5)
    path = tmp_path / "sweep" / state.SWEEP_FILE
    saved = json.loads(path.read_text())
    for number, name in ((1, "living"), (2, "dead")):
        saved["jobs"][number].update(state="running", runner=name)
        (tmp_path / "sweep" / f"{number}-lr-1+seed-{5 + number}" / "status.json").unlink()
    path.write_text(json.dumps(saved))
    alive = ["living"]
    monkeypatch.setattr(state.RunnerRegistry, "others", lambda self: set(alive))

    def ends(_):
        if not executors or not executors[0].jobs:
            changed = json.loads(path.read_text())
            changed["jobs"][1]["state"] = "done"
            path.write_text(json.dumps(changed))

    executors = []
    init = FakeExecutor.__init__
    monkeypatch.setattr(FakeExecutor, "__init__", lambda self, *words: (init(self, *words), executors.append(self))[0])
    monkeypatch.setattr(runner.time, "sleep", ends)
    finished = sweep(lambda number, start: 0.25)
    assert finished.executor.started == [2]
    assert states(finished) == ["done"] * 6


def test_two_containers_with_the_same_host_name_and_pid_are_two_runners(tmp_path):
    first, second = state.RunnerRegistry(tmp_path), state.RunnerRegistry(tmp_path)
    first.join()
    second.join()
    assert (first.others(), second.others()) == ({second.name}, {first.name})
    first.leave()
    second.leave()


def test_an_interrupted_first_save_does_not_stop_the_next_start(tmp_path):
    (tmp_path / f".{state.SWEEP_FILE}.partial").touch()
    assert state.load_sweep(tmp_path, {"axes": []}).jobs == []


def test_a_runner_is_listed_while_it_is_alive(tmp_path):
    first, second = state.RunnerRegistry(tmp_path), state.RunnerRegistry(tmp_path)
    second.name = "another"
    first.join()
    second.join()
    assert first.others() == {"another"}
    assert second.others() == {first.name}
    second.leave()
    assert first.others() == set()
    (tmp_path / ".runners" / "dead").touch()
    assert first.others() == set()
    assert not (tmp_path / ".runners" / "dead").exists()
    first.leave()
