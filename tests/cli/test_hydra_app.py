"""A job gets its config and folder; a sweep's jobs fail each for itself; Lightning can start a job's ranks."""

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from ganrun.cli import hydra_app
from ganrun.errors import UserError


def test_the_command_gets_the_config_and_a_folder_that_is_not_made_yet(cli):
    assert cli.run("train", "model=wgan", "seed=3") == 0
    (job,) = cli.jobs
    assert job.cfg["seed"] == 3
    assert "hydra" not in job.cfg
    assert job.folder.parts[:3] == ("outputs", "train", "wgan")
    assert job.cfg["folder"] == str(job.folder)
    assert list(cli.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "kimg"),
    [((), 7), (("seed=1",), 7), (("data=ring",), 5), (("model=dcgan",), 5), (("experiment=null",), 5)],
)
def test_a_bare_train_is_the_digits_experiment(cli, words, kimg):
    assert cli.run("train", *words) == 0
    assert cli.jobs[0].cfg["kimg"] == kimg


def test_a_bare_sweep_is_the_digits_experiment_too(cli):
    assert cli.run("train", "-m", "seed=1,2") == 0
    assert [job.cfg["kimg"] for job in cli.jobs] == [7, 7]


@pytest.mark.parametrize("path", ["last", "a b", "a,b", "x=1", "it's", 'say "so"', "a/b=c/d.ckpt", "[1]", "${x}"])
def test_any_path_survives_as_run(cli, path):
    (cli.folder / path).mkdir(parents=True)
    seen = []
    cli.work = lambda cfg, folder: seen.append(cfg.run)
    assert cli.run("eval", path, "which=best") == 0
    assert seen == [path]
    assert cli.jobs[0].cfg["which"] == "best"
    assert cli.jobs[0].folder.parts[:2] == ("outputs", "eval")


@pytest.mark.parametrize("words", [("which=best", "last"), ("run=last",), ("-m", "last")])
def test_run_may_stand_anywhere(cli, words):
    assert cli.run("eval", *words) == 0
    assert cli.jobs[0].cfg["run"] == "last"


@pytest.mark.parametrize("path", ["a b", "a,b", "x=1", "it's", 'say "so"', "[1]", "${x}", "3", "null", "a\\"])
def test_any_path_survives_as_a_folder(cli, path):
    seen = []
    cli.work = lambda cfg, folder: seen.append((cfg.pictures, cfg.against))
    assert cli.run("eval", "--folder", path, f"--against={path}") == 0
    assert seen == [(path, path)]


@pytest.mark.parametrize(
    ("words", "metrics"),
    [([], {"resize": "tf1"}), (["metrics=lenet"], {}), (["protocol=fid50k"], {"resize": "clean"})],
)
def test_two_folders_are_scored_by_inception_unless_metrics_or_a_protocol_are_named(cli, words, metrics):
    assert cli.run("eval", "--folder", "a", "--against", "b", *words) == 0
    assert cli.jobs[0].cfg.get("metrics", {}) == metrics


def test_home_is_expanded_in_a_folder(cli, monkeypatch):
    monkeypatch.setenv("HOME", "/any/it's, me")
    assert cli.run("eval", "--folder=~/a", "against=~/b") == 0
    cfg = cli.jobs[0].cfg
    assert (cfg["pictures"], cfg["against"]) == ("/any/it's, me/a", "/any/it's, me/b")


def test_home_is_expanded_in_a_value(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", f"{tmp_path}/it's, me")
    assert cli.run("train", "data.root=~/celeba") == 0
    assert cli.jobs[0].cfg["data"]["root"] == f"{tmp_path}/it's, me/celeba"


def test_flags_may_stand_between_the_settings(cli):
    assert cli.run("train", "model=wgan", "-m", "seed=1,2") == 0
    assert [job.cfg["seed"] for job in cli.jobs] == [1, 2]


def test_a_sweep_names_its_folders_by_what_varies(cli):
    assert cli.run("train", "-m", "optimizer.lr=0.0002,1e-3", "seed=1,2", "kimg=9") == 0
    names = [job.folder.name for job in cli.jobs]
    assert names == ["0-lr-0.0002+seed-1", "1-lr-0.0002+seed-2", "2-lr-0.001+seed-1", "3-lr-0.001+seed-2"]
    assert {job.folder.parent.parent.as_posix() for job in cli.jobs} == {"outputs/sweeps"}
    assert all(job.cfg["folder"] == str(job.folder) for job in cli.jobs)


def test_sweep_folders_can_stand_in_an_override_of_hydra(cli):
    assert cli.run("train", "-m", "data.root='a=b,c','d e/f'", "model.z_dim=1", "kimg=2") == 0
    assert [job.folder.name for job in cli.jobs] == ["0-root-a_b_c", "1-root-d_e_f"]
    assert [job.cfg["data"]["root"] for job in cli.jobs] == ["a=b,c", "d e/f"]


def test_a_sweep_with_a_folder_goes_there(cli):
    cli.work = lambda cfg, folder: folder.mkdir(parents=True)
    assert cli.run("train", "-m", "folder=mine", "seed=1,2") == 0
    found = sorted(path.name for path in (cli.folder / "mine").iterdir())
    assert found == ["0-seed-1", "1-seed-2", "multirun.yaml"]


def test_a_single_run_goes_to_the_folder_asked_for(cli):
    assert cli.run("train", "folder=my runs/one") == 0
    assert str(cli.jobs[0].folder) == "my runs/one"


def refuse(cfg, folder):
    raise UserError("data=ring has no pictures")


def fail(cfg, folder):
    raise RuntimeError("the disk is gone")


def build_refused(cfg, folder):
    try:
        refuse(cfg, folder)
    except UserError as error:
        raise RuntimeError("Error in call to target") from error


@pytest.mark.parametrize("work", [refuse, build_refused])
def test_a_mistake_of_the_user_is_one_message(cli, capfd, work):
    cli.work = work
    assert cli.run("train") == 2
    assert capfd.readouterr().err == "ganrun: data=ring has no pictures\n"
    assert list(cli.folder.iterdir()) == []


def test_a_failure_shows_its_traceback(cli, capfd):
    cli.work = fail
    assert cli.run("train") == 1
    err = capfd.readouterr().err
    assert "Traceback" in err
    assert "RuntimeError: the disk is gone" in err


def test_an_interrupt_is_130_and_an_exit_passes(cli):
    def interrupt(cfg, folder):
        raise KeyboardInterrupt

    def leave(cfg, folder):
        raise SystemExit(143)

    cli.work = interrupt
    assert cli.run("train") == 130
    cli.work = leave
    with pytest.raises(SystemExit) as exit_:
        cli.run("train")
    assert exit_.value.code == 143


def test_a_missing_value_is_told(cli, capfd):
    cli.work = lambda cfg, folder: cfg.need
    assert cli.run("train") == 2
    assert "need has no default: add need=VALUE" in capfd.readouterr().err


def test_a_class_that_is_not_there_is_told(cli, capfd):
    def build(cfg, folder):
        from hydra.utils import instantiate

        instantiate(cfg.model)

    cli.work = build
    assert cli.run("train") == 2
    assert "mine.Model: No module named 'mine'" in capfd.readouterr().err


def test_a_class_in_the_working_folder_is_found(cli, monkeypatch):
    (cli.folder / "mine.py").write_text("class Model:\n    def __init__(self, z_dim): self.z_dim = z_dim\n")
    built = []

    def build(cfg, folder):
        from hydra.utils import instantiate

        built.append(instantiate(cfg.model).z_dim)

    cli.work = build
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert cli.run("train", "model.z_dim=4") == 0
    assert built == [4]
    del sys.modules["mine"]


def test_other_arguments_than_the_class_takes_are_told(cli, capfd):
    (cli.folder / "mine.py").write_text("class Model:\n    def __init__(self, z_dim): self.z_dim = z_dim\n")

    def build(cfg, folder):
        from hydra.utils import instantiate

        instantiate(cfg.model)

    cli.work = build
    assert cli.run("train", "+model.depth=4") == 2
    assert "mine.Model: Model.__init__() got an unexpected keyword argument 'depth'" in capfd.readouterr().err
    del sys.modules["mine"]


def test_the_other_jobs_of_a_sweep_run_on(cli, capfd):
    cli.work = lambda cfg, folder: fail(cfg, folder) if cfg.seed == 1 else folder.mkdir(parents=True)
    assert cli.run("train", "-m", "seed=1,2,3") == 1
    assert [job.cfg["seed"] for job in cli.jobs] == [1, 2, 3]
    assert "1 of 3 jobs failed: 0-seed-1" in capfd.readouterr().err


def test_a_sweep_of_refused_jobs_is_refused_and_leaves_nothing(cli):
    cli.work = refuse
    assert cli.run("train", "-m", "seed=1,2") == 2
    assert list(cli.folder.iterdir()) == []


def test_a_refused_sweep_leaves_folders_that_were_there(cli):
    (cli.folder / "outputs" / "sweeps").mkdir(parents=True)
    cli.work = refuse
    assert cli.run("train", "-m", "seed=1,2") == 2
    assert [path.name for path in (cli.folder / "outputs").iterdir()] == ["sweeps"]


def test_printing_the_config_runs_and_makes_nothing(cli, capfd):
    assert cli.run("train", "--cfg", "job", "model=wgan") == 0
    assert "c: 0.01" in capfd.readouterr().out
    assert cli.run("train", "--info", "defaults") == 0
    assert cli.jobs == []
    assert list(cli.folder.iterdir()) == []


def test_configs_of_the_user_are_found(cli, tmp_path):
    cli.write(tmp_path / "own", {"model/mine": "# @package _global_\n# Mine\nmodel:\n  z_dim: 1\n"})
    assert cli.run("train", "--config-dir", str(tmp_path / "own"), "model=mine") == 0
    assert cli.jobs[0].cfg["model"] == {"z_dim": 1}


# what Lightning appends when it starts a rank
APPENDED = ['hydra.run.dir="."', "hydra.job.name=train_ddp_process_1", "hydra.output_subdir=null"]


def test_a_rank_started_again_is_the_same_job(cli, monkeypatch, tmp_path):
    cli.write(tmp_path / "own", {"model/mine": "# @package _global_\n# Mine\nmodel:\n  z_dim: 1\n"})
    assert cli.run("train", "--config-dir", str(tmp_path / "own"), "model=mine", "seed=4") == 0
    first = cli.jobs[0]
    assert first.env["GANRUN_FOLDER"] == str(first.folder)
    monkeypatch.setenv("GANRUN_FOLDER", first.env["GANRUN_FOLDER"])
    assert cli.run(*first.argv, *APPENDED) == 0
    assert cli.jobs[1].cfg == first.cfg
    assert cli.jobs[1].folder == first.folder


@pytest.mark.parametrize("words", [[], ["-m"]])
def test_a_rank_without_an_experiment_has_none(cli, words):
    assert cli.run("train", *words, "experiment=null", "seed=1") == 0
    assert cli.run(*cli.jobs[0].argv, *APPENDED) == 0
    assert [job.cfg["kimg"] for job in cli.jobs] == [5, 5]


def test_a_rank_of_a_sweep_is_its_job_alone(cli, monkeypatch):
    assert cli.run("train", "-m", "model=wgan,dcgan", "data.root='a,b'") == 0
    jobs_ = list(cli.jobs)
    assert len(jobs_) == 2
    for job in jobs_:
        monkeypatch.setenv("GANRUN_FOLDER", job.env["GANRUN_FOLDER"])
        cli.jobs.clear()
        assert cli.run(*job.argv, *APPENDED) == 0
        (again,) = cli.jobs
        assert again.cfg == job.cfg
        assert again.folder == job.folder


def test_a_rank_of_an_evaluation_keeps_its_run(cli):
    assert cli.run("eval", "my run", "which=best") == 0
    assert cli.jobs[0].argv == ["eval", "my run", "which=best"]


def test_argv_and_environment_are_as_before(cli, monkeypatch):
    def start_ranks(cfg, folder):
        os.environ.update(LOCAL_RANK="0", WORLD_SIZE="2", MASTER_PORT="1234")

    monkeypatch.setenv("MASTER_PORT", "99")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    argv, cli.work = list(sys.argv), start_ranks
    assert cli.run("train", "-m", "seed=1,2") == 0
    assert sys.argv == argv
    assert "LOCAL_RANK" not in cli.jobs[1].env
    assert "WORLD_SIZE" not in os.environ
    assert "GANRUN_FOLDER" not in os.environ
    assert "HYDRA_FULL_ERROR" not in os.environ
    assert os.environ["MASTER_PORT"] == "99"


def test_the_process_group_of_a_job_is_ended_and_outlives_who_else_holds_it(monkeypatch):
    ended = []
    fake = ModuleType("torch.distributed")
    fake.group = SimpleNamespace(WORLD=object())
    monkeypatch.setattr(hydra_app, "FINISHED_GROUPS", [])
    fake.is_available = fake.is_initialized = lambda: True
    fake.destroy_process_group = lambda: ended.append(True)
    monkeypatch.setitem(sys.modules, "torch.distributed", fake)
    with hydra_app.closed_process_group():
        pass
    assert (ended, hydra_app.FINISHED_GROUPS) == ([True], [fake.group.WORLD])
