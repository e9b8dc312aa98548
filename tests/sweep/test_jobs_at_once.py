"""How many jobs a sweep trains at the same time where sweep.jobs is not given."""

import pytest
from helpers.runs import RING
from omegaconf import OmegaConf

from ganrun.cli.main import main
from ganrun.files import cpu_count
from ganrun.sweep import sweeper
from ganrun.sweep.state import SweepState


@pytest.fixture
def jobs(monkeypatch, tmp_path):
    """Returns a function: settings of a sweep -> its number of jobs on a machine with 6 CPUs.

    memory: free bytes.  gpus: their names.  began_with: threads of the jobs that the sweep has already, if any.
    """
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(sweeper, "cpu_count", lambda: 6)

    def jobs(memory=100 * 2**30, gpus=(), launcher="basic", began_with=0, **settings):
        monkeypatch.setattr(sweeper, "free_main_memory", lambda: memory)
        monkeypatch.setattr(sweeper, "visible_gpus", lambda: list(gpus))
        settings = {"sampler": "grid", "threads": None, "pruner": None, "sbatch": None, **settings}
        choices = {"hydra/launcher": launcher}
        config = OmegaConf.create({"sweep": settings, "hydra": {"runtime": {"choices": choices}}})
        return sweeper.jobs_at_once(config, SweepState(tmp_path, {}, threads=began_with))

    return jobs


@pytest.mark.parametrize("sampler", ["grid", "random", "sobol"])
def test_jobs_whose_order_does_not_matter_share_the_cpus(jobs, sampler):
    assert jobs(sampler=sampler) == 6
    assert jobs(sampler=sampler, threads=2) == 3
    assert jobs(sampler=sampler, threads=8) == 1
    assert jobs(sampler=sampler, began_with=3) == 2


@pytest.mark.parametrize(("memory", "count"), [(9 * 2**30, 4), (2**30, 1), (None, 6)])
def test_jobs_fit_into_the_free_memory(jobs, memory, count):
    assert jobs(memory=memory) == count


@pytest.mark.parametrize(
    "settings",
    [{"sampler": "tpe"}, {"sampler": "cmaes"}, {"pruner": "median"}, {"sbatch": ""}, {"gpus": ["0", "1"]}],
)
def test_one_at_a_time_where_a_job_depends_on_others_or_may_take_all(jobs, settings):
    assert jobs(**settings) == 1


def test_a_launcher_of_hydra_gets_one_at_a_time(jobs):
    assert jobs(launcher="joblib", sampler="random") == 1


def test_the_command_starts_so_many_jobs_unless_it_says_how_many(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweeper, "cpu_count", lambda: 3)
    monkeypatch.setattr(sweeper, "free_main_memory", lambda: None)
    sizes, build = [], sweeper.LocalExecutor

    def record(size, *args):
        sizes.append(size)
        return build(size, *args)

    monkeypatch.setattr(sweeper, "LocalExecutor", record)
    monkeypatch.setattr(sweeper, "visible_gpus", list)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    sweep = ["train", "-m", *RING, "seed=1,2", "kimg=0.1", "metrics=none", "logger=none"]
    assert main([*sweep, "folder=auto"]) == 0
    assert main([*sweep, "folder=one", "sweep.jobs=1"]) == 0
    assert sizes == [3, 1]


@pytest.mark.parametrize(
    ("limit", "count"), [("max 100000", 8), ("150000 100000", 2), ("10000 100000", 1), ("1600000 100000", 8), ("", 8)]
)
def test_a_container_has_the_cpus_of_its_limit(tmp_path, monkeypatch, limit, count):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text(limit)
    assert cpu_count(tmp_path / "cpu.max") == count
    assert cpu_count(tmp_path / "none") == 8
