"""Jobs get their config and run folder, errors become messages and exit codes, and Lightning can start more ranks."""

import gc
import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from ganrun.cli import hydra_app
from ganrun.errors import UserError


def test_a_command_gets_its_config_and_a_folder_that_does_not_exist_yet(cli):
    assert cli.run("train", "model=wgan", "seed=3") == 0
    (job,) = cli.jobs
    assert job.cfg["seed"] == 3
    assert "hydra" not in job.cfg
    assert job.folder.parts[:3] == ("outputs", "train", "wgan")
    assert job.cfg["folder"] == str(job.folder)
    assert list(cli.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "kimg"),
    [((), 7), (("seed=1",), 7), (("data=ring",), 5), (("model=dcgan",), 5), (("experiment=null",), 5)],
)
def test_train_without_arguments_is_the_digits_experiment(cli, args, kimg):
    assert cli.run("train", *args) == 0
    assert cli.jobs[0].cfg["kimg"] == kimg


def test_a_sweep_without_a_model_is_the_digits_experiment(cli):
    assert cli.run("train", "-m", "seed=1,2") == 0
    assert [job.cfg["kimg"] for job in cli.jobs] == [7, 7]


@pytest.mark.parametrize("path", ["last", "a b", "a,b", "x=1", "it's", 'say "so"', "a/b=c/d.ckpt", "[1]", "${x}"])
def test_run_may_be_any_path(cli, path):
    (cli.folder / path).mkdir(parents=True)
    seen = []
    cli.work = lambda cfg, folder: seen.append(cfg.run)
    assert cli.run("eval", path, "which=best") == 0
    assert seen == [path]
    assert cli.jobs[0].cfg["which"] == "best"
    assert cli.jobs[0].folder.parts[:2] == ("outputs", "eval")


@pytest.mark.parametrize("args", [("which=best", "last"), ("run=last",), ("-m", "last")])
def test_run_may_be_at_any_position(cli, args):
    assert cli.run("eval", *args) == 0
    assert cli.jobs[0].cfg["run"] == "last"


@pytest.mark.parametrize("path", ["a b", "a,b", "x=1", "it's", 'say "so"', "[1]", "${x}", "3", "null", "a\\"])
def test_an_image_folder_may_be_any_path(cli, path):
    seen = []
    cli.work = lambda cfg, folder: seen.append((cfg.pictures, cfg.against))
    assert cli.run("eval", "--folder", path, f"--against={path}") == 0
    assert seen == [(path, path)]


@pytest.mark.parametrize(
    ("args", "metrics"),
    [([], {"resize": "tf1"}), (["metrics=lenet"], {}), (["protocol=fid50k"], {"resize": "clean"})],
)
def test_two_folders_are_scored_with_inception_by_default(cli, args, metrics):
    assert cli.run("eval", "--folder", "a", "--against", "b", *args) == 0
    assert cli.jobs[0].cfg.get("metrics", {}) == metrics


def test_a_tilde_is_expanded_in_folder_flags(cli, monkeypatch):
    monkeypatch.setenv("HOME", "/any/it's, me")
    assert cli.run("eval", "--folder=~/a", "against=~/b") == 0
    cfg = cli.jobs[0].cfg
    assert (cfg["pictures"], cfg["against"]) == ("/any/it's, me/a", "/any/it's, me/b")


def test_a_tilde_is_expanded_in_settings(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", f"{tmp_path}/it's, me")
    assert cli.run("train", "data.root=~/celeba") == 0
    assert cli.jobs[0].cfg["data"]["root"] == f"{tmp_path}/it's, me/celeba"


def test_flags_may_follow_settings(cli):
    assert cli.run("train", "model=wgan", "-m", "seed=1,2") == 0
    assert [job.cfg["seed"] for job in cli.jobs] == [1, 2]


def test_folders_of_a_sweep_are_named_after_the_swept_keys(cli):
    assert cli.run("train", "-m", "optimizer.lr=0.0002,1e-3", "seed=1,2", "kimg=9") == 0
    names = [job.folder.name for job in cli.jobs]
    assert names == ["0-lr-0.0002+seed-1", "1-lr-0.0002+seed-2", "2-lr-0.001+seed-1", "3-lr-0.001+seed-2"]
    assert {job.folder.parent.parent.as_posix() for job in cli.jobs} == {"outputs/sweeps"}
    assert all(job.cfg["folder"] == str(job.folder) for job in cli.jobs)


def test_folder_names_of_a_sweep_are_valid_in_overrides(cli):
    assert cli.run("train", "-m", "data.root='a=b,c','d e/f'", "model.z_dim=1", "kimg=2") == 0
    assert [job.folder.name for job in cli.jobs] == ["0-root-a_b_c", "1-root-d_e_f"]
    assert [job.cfg["data"]["root"] for job in cli.jobs] == ["a=b,c", "d e/f"]


def test_a_sweep_with_folder_writes_there(cli):
    cli.work = lambda cfg, folder: folder.mkdir(parents=True)
    assert cli.run("train", "-m", "folder=mine", "seed=1,2") == 0
    names = sorted(path.name for path in (cli.folder / "mine").iterdir())
    assert names == ["0-seed-1", "1-seed-2", "multirun.yaml"]


def test_a_run_with_folder_writes_there(cli):
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
def test_a_user_error_is_printed_as_one_message(cli, capfd, work):
    cli.work = work
    assert cli.run("train") == 2
    assert capfd.readouterr().err == "ganrun: data=ring has no pictures\n"
    assert list(cli.folder.iterdir()) == []


def test_another_error_is_printed_with_its_traceback(cli, capfd):
    cli.work = fail
    assert cli.run("train") == 1
    err = capfd.readouterr().err
    assert "Traceback" in err
    assert "RuntimeError: the disk is gone" in err


def test_ctrl_c_gives_exit_code_130_and_system_exit_passes(cli):
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


def test_a_missing_value_gives_a_message(cli, capfd):
    cli.work = lambda cfg, folder: cfg.need
    assert cli.run("train") == 2
    assert "need has no default: add need=VALUE" in capfd.readouterr().err


def test_a_missing_class_gives_a_message(cli, capfd):
    def build(cfg, folder):
        from hydra.utils import instantiate

        instantiate(cfg.model)

    cli.work = build
    assert cli.run("train") == 2
    assert "mine.Model: No module named 'mine'" in capfd.readouterr().err


def test_a_class_in_the_working_folder_can_be_built(cli, monkeypatch):
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


def test_wrong_arguments_for_a_class_give_a_message(cli, capfd):
    (cli.folder / "mine.py").write_text("class Model:\n    def __init__(self, z_dim): self.z_dim = z_dim\n")

    def build(cfg, folder):
        from hydra.utils import instantiate

        instantiate(cfg.model)

    cli.work = build
    assert cli.run("train", "+model.depth=4") == 2
    assert "mine.Model: Model.__init__() got an unexpected keyword argument 'depth'" in capfd.readouterr().err
    del sys.modules["mine"]


def test_a_failed_job_does_not_stop_the_others(cli, capfd):
    cli.work = lambda cfg, folder: fail(cfg, folder) if cfg.seed == 1 else folder.mkdir(parents=True)
    assert cli.run("train", "-m", "seed=1,2,3") == 1
    assert [job.cfg["seed"] for job in cli.jobs] == [1, 2, 3]
    assert "1 of 3 jobs failed: 0-seed-1" in capfd.readouterr().err


def test_a_sweep_without_a_valid_job_leaves_no_folder(cli):
    cli.work = refuse
    assert cli.run("train", "-m", "seed=1,2") == 2
    assert list(cli.folder.iterdir()) == []


def test_a_refused_sweep_keeps_existing_folders(cli):
    (cli.folder / "outputs" / "sweeps").mkdir(parents=True)
    cli.work = refuse
    assert cli.run("train", "-m", "seed=1,2") == 2
    assert [path.name for path in (cli.folder / "outputs").iterdir()] == ["sweeps"]


def test_printing_the_config_runs_nothing(cli, capfd):
    assert cli.run("train", "--cfg", "job", "model=wgan") == 0
    assert "c: 0.01" in capfd.readouterr().out
    assert cli.run("train", "--info", "defaults") == 0
    assert cli.jobs == []
    assert list(cli.folder.iterdir()) == []


def test_config_dir_adds_configs_of_the_user(cli, tmp_path):
    cli.write(tmp_path / "own", {"model/mine": "# @package _global_\n# Mine\nmodel:\n  z_dim: 1\n"})
    assert cli.run("train", "--config-dir", str(tmp_path / "own"), "model=mine") == 0
    assert cli.jobs[0].cfg["model"] == {"z_dim": 1}


# Lightning appends these when it starts a rank
APPENDED = ['hydra.run.dir="."', "hydra.job.name=train_ddp_process_1", "hydra.output_subdir=null"]


def test_the_arguments_of_a_rank_give_the_same_job(cli, monkeypatch, tmp_path):
    cli.write(tmp_path / "own", {"model/mine": "# @package _global_\n# Mine\nmodel:\n  z_dim: 1\n"})
    assert cli.run("train", "--config-dir", str(tmp_path / "own"), "model=mine", "seed=4") == 0
    first = cli.jobs[0]
    assert first.env["GANRUN_FOLDER"] == str(first.folder)
    monkeypatch.setenv("GANRUN_FOLDER", first.env["GANRUN_FOLDER"])
    assert cli.run(*first.argv, *APPENDED) == 0
    assert cli.jobs[1].cfg == first.cfg
    assert cli.jobs[1].folder == first.folder


@pytest.mark.parametrize("args", [[], ["-m"]])
def test_a_rank_of_a_run_without_experiment_has_none(cli, args):
    assert cli.run("train", *args, "experiment=null", "seed=1") == 0
    assert cli.run(*cli.jobs[0].argv, *APPENDED) == 0
    assert [job.cfg["kimg"] for job in cli.jobs] == [5, 5]


def test_a_rank_of_a_sweep_runs_only_its_job(cli, monkeypatch):
    assert cli.run("train", "-m", "model=wgan,dcgan", "data.root='a,b'") == 0
    jobs = list(cli.jobs)
    assert len(jobs) == 2
    for job in jobs:
        monkeypatch.setenv("GANRUN_FOLDER", job.env["GANRUN_FOLDER"])
        cli.jobs.clear()
        assert cli.run(*job.argv, *APPENDED) == 0
        (again,) = cli.jobs
        assert again.cfg == job.cfg
        assert again.folder == job.folder


def test_a_rank_of_eval_keeps_its_run(cli):
    assert cli.run("eval", "my run", "which=best") == 0
    assert cli.jobs[0].argv == ["eval", "my run", "which=best"]


def test_argv_path_and_environment_are_restored(cli, monkeypatch):
    def start_ranks(cfg, folder):
        os.environ.update(LOCAL_RANK="0", WORLD_SIZE="2", MASTER_PORT="1234")

    monkeypatch.setenv("MASTER_PORT", "99")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    argv, path, cli.work = list(sys.argv), list(sys.path), start_ranks
    assert cli.run("train", "-m", "seed=1,2") == 0
    assert (sys.argv, sys.path) == (argv, path)
    assert "LOCAL_RANK" not in cli.jobs[1].env
    assert "WORLD_SIZE" not in os.environ
    assert "GANRUN_FOLDER" not in os.environ
    assert "HYDRA_FULL_ERROR" not in os.environ
    assert os.environ["MASTER_PORT"] == "99"


@pytest.mark.slow
def test_the_start_of_a_training_searches_the_imports_for_no_garbage(tmp_path):
    code = """if True:
        import gc, sys
        searched = []
        gc.callbacks.append(lambda phase, info: searched.append("torch" in sys.modules and not gc.get_freeze_count()))
        from ganrun.cli.main import main
        code = main(["train", "model=gan", "data=ring", "metrics=none", "dry_run=true"])
        print(code, any(searched), gc.isenabled(), gc.get_freeze_count() > 200_000)"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 False True True"


def test_a_later_job_freezes_no_objects(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", sys.modules.get("torch", ModuleType("torch")))
    frozen = gc.get_freeze_count()
    assert cli.run("train", "-m", "seed=1,2") == 0
    assert (gc.get_freeze_count(), gc.isenabled()) == (frozen, True)


def test_the_process_group_of_a_job_is_destroyed_and_kept_alive(monkeypatch):
    destroyed = []
    fake = ModuleType("torch.distributed")
    fake.group = SimpleNamespace(WORLD=object())
    monkeypatch.setattr(hydra_app, "FINISHED_GROUPS", [])
    fake.is_available = fake.is_initialized = lambda: True
    fake.destroy_process_group = lambda: destroyed.append(True)
    monkeypatch.setitem(sys.modules, "torch.distributed", fake)
    with hydra_app.closed_process_group():
        pass
    assert (destroyed, hydra_app.FINISHED_GROUPS) == ([True], [fake.group.WORLD])
