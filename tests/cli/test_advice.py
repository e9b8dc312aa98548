"""The commands that messages advise: bash and ganrun accept them, and none is advised that no test executes."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.warm import WarmProcess
from PIL import Image

import ganrun
from ganrun.config.overrides import quote_override
from ganrun.errors import ganrun_command

PACKAGE = Path(ganrun.__file__).parent
ADVICE = re.compile(r"ganrun (train|resume|eval|sample|translate|sweep|compare|list)\b")
RUN = "it's a [/red] run, 1=2"  # with what bash, Hydra or a terminal could take for something else
POINTS = ["model=gan", "data=ring", "metrics=none", "logger=none", "kimg=0.02", "batch_size=4"]
DIGITS = ["model=dcgan", "data=digits", "metrics=none", "logger=none", "network.width=4", "kimg=0.008", "batch_size=4"]
SMALL = ["metrics=lenet", "samples=4", "copies=0"]
MINE = "from ganrun.models.gan import GAN\n\n\nclass Mine(GAN):\n    pass\n"
# A command; what comes before the advised one in its output; what is added to that so that it takes a second only
SCENARIOS = {
    "flag": (["--foo"], "as in: ", []),
    "setting first": (["kimg=3"], "as in: ", ["dry_run=true"]),
    "unknown setting": (["train", "nonsense"], "To list them: ", []),
    "folders of train": (["train", "--folder", "x"], "Only eval takes --folder: ", SMALL[:2]),
    "one folder": (["eval", "--folder", "A"], "two folders of images: ", SMALL[:2]),
    "no folder": (["eval", "--folder", "nowhere", "--against", "A"], "two folders of images: ", SMALL[:2]),
    "run and folders": (
        ["eval", "digits", "--folder", "A", "--against", "B"],
        "with a folder: ",
        [*SMALL, "data.size=28"],
    ),
    "no run": (["eval"], "as in: ", ["metrics=modes", "samples=20"]),
    "sweep settings": (["train", *POINTS, "sweep.jobs=2"], "need -m: ", ["dry_run=true"]),
    "several values": (["train", "model=gan,wgan", "data=ring"], "one job per value: ", ["dry_run=true"]),
    "no group": (["train", "optimizer@net=adam"], "list its groups: ", []),
    "interpolation": (["train", "seed=${nothing}"], "print the config: ", None),
    "no metrics": (["eval", "digits"], "as in ", ["samples=4", "copies=0"]),
    "nowhere": (["resume", "nowhere"], "start one: ", ["dry_run=true"]),
    "finished": (["resume", RUN], "To make it longer: ", []),
    "change": (["resume", RUN, "batch_size=8"], "from this state: ", ["folder=changed"]),
    "no checkpoint": (["resume", "started", "branch=true"], "Continue it first: ", []),
    "lone checkpoint": (["resume", "a b.ckpt"], "start a new run from it: ", ["folder=branch"]),
    "other run": (["resume", "points/checkpoints/other.ckpt"], "start a new run from it: ", ["folder=other"]),
    "translate": (["translate", RUN, "input=A"], "does not translate: ", []),
    "exists": (["train", *POINTS, "folder=unfinished"], "continue the run in it: ", []),
    "own class": (["sample", "mine"], "you trust it: ", []),
    "link": (["sample", "linked"], "you trust it: ", []),
    "link in a start": (["train", *POINTS, "folder=linked", "resume=true"], "you trust it: ", ["kimg=0.04"]),
    "sweep": (["sweep"], "To show a sweep: ", []),
    "compare": (["compare", RUN], "or a sweep: ", []),
    "end of a run": (["train", *POINTS, "folder=it's new"], "next          ", []),
    "end of a sweep": (["sweep", "resume", "stopped"], "you trust it: ", []),
}
# Why no command above ends in these: nothing can be executed, or the same function quotes the same folder
ELSEWHERE = {
    "training/branching.py": "tests/cli/commands/test_fine_tuning.py executes what it advises",
    "cli/help.py": "the texts of --help, which tests/docs and test_help.py execute",
    "config/compatibility.py": "ganrun list GROUP is executed by test_every_group_can_be_listed",
    "config/unused.py": "ganrun train --help and list, as in `unknown setting`",
    "config/resume_rules.py": "names the command without settings",
    "sweep/report/html.py": "the command that made the sweep, whatever the user gave",
    "training/checkpoint_io.py": "after a full disk: executed in commands/test_crash.py",
    "training/run_record.py": "a longer training: resume as in `finished`",
    "training/callbacks/nan_guard.py": "executed in training/callbacks/test_nan_guard.py",
    "training/callbacks/callback_list.py": "resume RUN branch=true as in `change`",
    "training/dry_run.py": "the title of a table",
}
EXECUTED = {  # the modules whose messages the scenarios bring about
    *("cli/arguments.py", "cli/hydra_errors.py", "cli/commands/compare.py", "cli/commands/eval.py"),
    *("cli/commands/resume.py", "cli/commands/sweep.py", "cli/commands/train.py", "config/trust.py"),
    *("metrics/picture_folder.py", "sweep/saved_command.py", "sweep/sweeper.py", "sweep/state.py"),
    *("sweep/report/leaderboard.py", "training/checkpoint.py", "training/continuation.py", "training/inference.py"),
    *("training/run_folder.py", "training/session.py", "training/summary.py"),
}


def advised(tree):
    """Yield the texts of a module, docstrings left out, that hold a command of ganrun, and the calls that build one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ganrun_command":
            yield ast.unparse(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ADVICE.search(node.value):
            yield node.value


def without_docstrings(tree):
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
    return tree


def test_each_module_that_advises_commands_is_executed_here_or_says_where():
    modules = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(advised(without_docstrings(ast.parse(path.read_text()))))
    }
    assert modules == EXECUTED | ELSEWHERE.keys()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A process for many commands, in a folder with runs of all states."""
    folder = tmp_path_factory.mktemp("advice")
    (folder / "mine.py").write_text(MINE)
    for name in "AB":
        (folder / name).mkdir()
        for i in range(4):
            Image.new("RGB", (28, 28), (50 * i, 9, 90)).save(folder / name / f"{i}.png")
    with WarmProcess() as process:
        run = lambda args: process.run(args, folder, folder / "output", {}, 120)  # noqa: E731
        assert run(["train", *POINTS, f"folder={quote_override(RUN)}"]).code == 0
        assert run(["train", *DIGITS, "folder=digits"]).code == 0
        assert run(["train", *POINTS, "folder=mine", "model._target_=mine.Mine"]).code == 0
        assert run(["train", "-m", *POINTS, "seed=1,2", "sweep.name=stopped", "model._target_=mine.Mine"]).code == 0
        assert run(["train", *POINTS]).code == 0  # `last`
        for name in ("points", "started", "unfinished", "linked"):
            shutil.copytree(folder / RUN, folder / name)
        (folder / "linked" / "link").symlink_to(folder)
        shutil.rmtree(folder / "started" / "checkpoints")
        status = (folder / RUN / "status.json").read_text().replace('"done"', '"interrupted"')
        for name in ("started", "unfinished"):
            (folder / name / "status.json").write_text(status)
        saved = min((folder / "digits" / "checkpoints").glob("*.ckpt"))
        shutil.copy(saved, folder / "a b.ckpt")
        shutil.copy(saved, folder / "points" / "checkpoints" / "other.ckpt")
        yield run


def split_by_bash(command):
    result = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True)
    return result.stdout.decode().split("\0")[:-1]


def placeholders_filled(args):
    places = {"NAME": "stopped", "RUN": "digits", "FOLDER": "A", "SWEEP.": "stopped"}
    return [places.get(arg, arg.replace("=FOLDER", "=A")) for arg in args]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_advised_command_is_accepted_by_bash_and_ganrun(place, name):
    command, before, more = SCENARIOS[name]
    text = place(command).text
    assert before + "ganrun " in text, text
    advice = re.split(r"   or   |\. |, or | \(|\n", text.split(before)[-1])[0].rstrip(".")
    program, *args = placeholders_filled(split_by_bash(advice))
    assert program == "ganrun"
    result = place([*args, *(more or [])])
    assert result.code == 0, f"{advice}\n{result.text}"


HARD = [
    "a b",
    "it's",
    'a"b',
    "$HOME",
    "a`b",
    "a\\b",
    "!",
    "-x",
    "~",
    "a=b",
    "last",
    "\n",
    "\x1b[1m",
    "\udcff",
    "ä火",
    "'\n",
]


@pytest.mark.parametrize("name", HARD)
def test_any_name_of_a_folder_reaches_ganrun_as_it_is(name):
    command = ganrun_command("sample", Path(name))
    assert command.isprintable()
    result = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True)
    argument = result.stdout.split(b"\0")[2].decode(errors="surrogateescape")
    assert argument in (name, f"./{name}")
    assert not re.match(r"[-~]|[^/]*=|last$", argument)


@pytest.mark.parametrize("group", sorted(path.name for path in (PACKAGE.parent / "conf").iterdir() if path.is_dir()))
def test_every_group_can_be_listed(place, group):
    if group not in ("run",):
        assert place(["list", group]).code == 0
