"""What a shell, a cluster or a container may hand over: streams, encodings, variables, users without a home."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from pstats import Stats
from types import SimpleNamespace

import pytest
from helpers.other_user import command_prefix, is_root

from ganrun.cli.environment import check_rank_variables
from ganrun.config.overrides import quote_override
from ganrun.errors import UserError, describe_system_error

GANRUN = [sys.executable, "-m", "ganrun"]
ROOT = Path(__file__).resolve().parents[2]
TINY = ["train", "model=gan", "data=ring", "metrics=none", "logger=none", "kimg=0.02", "batch_size=4", "folder=run"]


def run_in_shell(script: str, args: list[str], cwd: Path, **env: str) -> subprocess.CompletedProcess:
    """Run `ganrun` with the arguments as "$@" of a shell script, which sets up its streams."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **env}
    command = ["bash", "-c", script, "-", *GANRUN, *args]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, timeout=120)


@pytest.mark.parametrize("args", [["--version"], ["list", "model"], ["train", "--help"]], ids=" ".join)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_command_does_its_work_with_closed_streams(args, closed, tmp_path):
    result = run_in_shell(f'"$@" {closed}', args, tmp_path)
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_full_disk_behind_stdout_is_one_message(tmp_path):
    result = run_in_shell('"$@" > /dev/full', ["list"], tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(b"ganrun: Cannot write to stdout (No space left on device)")
    assert result.stderr.count(b"\n") == 1


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    result = run_in_shell('set -o pipefail; "$@" | true', ["list", "--help"], tmp_path)
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "> /dev/full 2> /dev/full", "2>&1 | true"])
def test_a_training_ends_as_done_whatever_becomes_of_its_output(streams, tmp_path):
    run_in_shell(f'"$@" {streams}', TINY, tmp_path)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file() and b"run folder" in path.read_bytes()]
    assert [path.name for path in files] == ["train.log"]
    assert files[0].read_bytes().count(b"run folder") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii:strict"}, {"LC_ALL": "C"}]
)
def test_names_in_any_language_are_trained_in_any_encoding(env, tmp_path):
    result = run_in_shell('"$@"', [*TINY[:-1], "folder='äü€ 火'"], tmp_path, **env)
    assert (result.returncode, b"Traceback" in result.stderr) == (0, False)
    assert (tmp_path / "äü€ 火" / "status.json").exists()


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    result = run_in_shell("\"$@\" $'folder=\\xff'", ["train"], tmp_path)
    assert result.returncode == 2
    assert b"folder=\\udcff is not valid UTF-8" in result.stderr


def test_the_encoding_of_the_locale_is_named_if_it_lacks_a_character(tmp_path):
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = run_in_shell('"$@"', ["train", "folder=ä"], tmp_path, **env)
    assert result.returncode == 2
    assert b"PYTHONUTF8=1" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("env", [{"RANK": ""}, {"LOCAL_RANK": "1"}, {"RANK": "3", "WORLD_SIZE": "1"}], ids=str)
def test_a_training_is_the_main_process_whatever_an_earlier_one_left_in_the_environment(env, tmp_path):
    result = run_in_shell('"$@"', TINY, tmp_path, **env)
    assert (result.returncode, b"Traceback" in result.stderr) == (0, False)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"


def test_variables_that_are_empty_or_of_no_training_are_removed():
    environ = {"RANK": "", "SLURM_PROCID": " ", "LOCAL_RANK": "2", "NODE_RANK": "0", "WORLD_SIZE": ""}
    check_rank_variables(environ)
    assert environ == {}


@pytest.mark.parametrize(
    "environ",
    [
        {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "host", "MASTER_PORT": "29500"},
        {"NODE_RANK": "1", "MASTER_ADDR": "host"},
        {"SLURM_PROCID": "3", "SLURM_NTASKS": "4"},
    ],
)
def test_variables_of_a_training_stay(environ):
    before = dict(environ)
    check_rank_variables(environ)
    assert environ == before


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "WORLD_SIZE"])
def test_a_rank_that_is_no_number_is_refused(name):
    with pytest.raises(UserError, match=f"{name} must be a whole number, got abc. Remove it: unset {name}"):
        check_rank_variables({name: "abc"})


def test_what_the_system_refuses_is_said_with_the_file():
    assert describe_system_error(PermissionError(13, "Permission denied", "a/b")) == "a/b: Permission denied."
    assert describe_system_error(OSError(36, "File name too long", "x" * 999)) == "x" * 200 + "...: File name too long."
    assert describe_system_error(OSError("12 requested and 3 written")).startswith("The disk is full. Free some space")
    assert "ulimit -n" in describe_system_error(OSError(24, "Too many open files", "a"))
    assert describe_system_error(OSError("a fault of the program")) == ""


ENDING = """
import atexit, sys, threading, time
from ganrun.models.gan import GAN

class Mine(GAN):
    def __init__(self, *args, ending="", **kwargs):
        super().__init__(*args, **kwargs)
        exec(ending)

class Counted:
    def __del__(self):
        print("freed")

COUNTED = Counted()
atexit.register(print, "exit")
threading.Thread(target=lambda: (threading.main_thread().join(), time.sleep(1), print("thread"))).start()
"""


@pytest.fixture
def ending(tmp_path):
    """Runs a command whose model has a thread and an exit function, and executes a text: (exit code, stdout)."""
    (tmp_path / "mine.py").write_text(ENDING)

    def run(text="", python='"$@"'):
        args = [*TINY, "model._target_=mine.Mine", f"+model.ending={quote_override(text)}", "dry_run=true"]
        result = run_in_shell(python, args, tmp_path)
        return result.returncode, result.stdout.decode().splitlines(), result.stderr.decode()

    return run


@pytest.mark.slow
def test_a_command_waits_for_threads_and_exit_functions_but_frees_no_modules(ending):
    """Triton would report each of its objects that is not freed, as the garbage collector leaves them alone."""
    code, printed, _ = ending()
    assert code == 0
    assert printed[-2:] == ["thread", "exit"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("sys.exit('enough')", 1, "ganrun: enough\n"),
        ("sys.exit(7)", 7, ""),
        ("sys.exit()", 0, ""),
        ("atexit.unregister(print); atexit.register(sys.stdout.close)", 0, ""),
    ],
)
def test_a_library_that_ends_the_program_decides_on_its_exit_code(ending, text, code, message):
    result, _, errors = ending(text)
    assert (result, "Traceback" in errors) == (code, False)
    assert errors.endswith(message)


@pytest.mark.slow
def test_a_profiler_gets_its_result(ending, tmp_path):
    """It has work left when the program has ended."""
    code, _, _ = ending(python='python=$1; shift; "$python" -m cProfile -o profile "$@"')
    assert code == 0
    assert "dispatch" in {name for _, _, name in Stats(str(tmp_path / "profile")).stats}


@pytest.fixture
def stranger(tmp_path_factory):
    """Runs ganrun as a user who has neither a name nor a home, as containers with any uid do, in an open folder."""
    if not is_root():
        pytest.skip("only root can become another user")
    user = command_prefix()
    folder = Path(tempfile.mkdtemp(prefix="stranger"))
    folder.chmod(0o777)

    def run(*args: str, **env: str) -> subprocess.CompletedProcess:
        kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS")}
        env = {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **env}
        return subprocess.run([*user, *GANRUN, *args], cwd=folder, env=env, capture_output=True, text=True, timeout=120)

    yield SimpleNamespace(run=run, folder=folder)
    shutil.rmtree(folder)


SCORED = ["train", "kimg=0.02", "batch_size=4", "network.width=4", "metrics.samples=20", "folder=run", "logger=none"]


@pytest.mark.slow
def test_a_user_without_name_and_home_trains_and_evaluates(stranger):
    result = stranger.run(*SCORED, TMPDIR=str(stranger.folder))
    assert (result.returncode, "Traceback" in result.stderr) == (0, False)
    assert stranger.run("eval", "run", TMPDIR=str(stranger.folder)).returncode == 0
    private = stranger.folder / "ganrun-54321"
    assert private.stat().st_mode & 0o777 == 0o700
    assert list(private.glob("statistics/*.safetensors"))


def test_a_temporary_folder_that_another_user_has_made_is_not_used(stranger):
    (stranger.folder / "ganrun-54321").mkdir(mode=0o777)
    result = stranger.run(*SCORED, TMPDIR=str(stranger.folder))
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("ganrun: There is no home folder, and ")
    assert "GANRUN_CACHE" in result.stderr


@pytest.mark.slow
def test_statistics_that_cannot_be_cached_are_measured_each_time(stranger):
    cache = stranger.folder / "cache"
    cache.mkdir(mode=0o755)
    result = stranger.run(*SCORED, GANRUN_CACHE=str(cache))
    assert (result.returncode, "Traceback" in result.stderr) == (0, False)
    assert "cannot be written (Permission denied); the next run measures" in result.stderr
    assert not list(cache.iterdir())


@pytest.mark.slow
def test_a_home_that_nobody_has_is_a_name_like_any_other(tmp_path):
    result = run_in_shell('"$@"', ["sample", "~nobody-of-this-name/run"], tmp_path)
    assert result.returncode == 2
    assert b"~nobody-of-this-name/run does not exist" in result.stderr
