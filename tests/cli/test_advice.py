"""The commands that messages advise: bash and ganrun accept them, and none is advised that no test executes."""

import ast
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from helpers.warm import WarmProcess
from PIL import Image

import ganrun
from ganrun.config.overrides import quote_override
from ganrun.errors import ganrun_command

PACKAGE = Path(ganrun.__file__).parent
VERBS = "train|resume|eval|sample|look|play|translate|quiz|sweep|compare|list|runs|status|logs|save|stop"
ADVICE = re.compile(rf"ganrun (?:(?:{VERBS})\b[^.;\n]*|$)")
RUN = "it's a [/red] run, 1=2"  # with what bash, Hydra or a terminal could take for something else
SHORT = ["kimg=0.02", "batch_size=4"]
POINTS = ["model=gan", "data=ring", "metrics=none", "logger=none", *SHORT]
DIGITS = ["model=dcgan", "data=digits", "metrics=none", "logger=none", "network.width=4", "kimg=0.008", "batch_size=4"]
TRANSLATION = [
    "model=cyclegan",
    "data=unpaired_digits",
    "network.blocks=1",
    "network.width=2",
    *DIGITS[2:4],
    *DIGITS[5:],
]
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
    "parts of networks": (["train", *DIGITS, "generator=resnet", "discriminator=r3gan"], "To list them: ", []),
    "interpolation": (["train", "seed=${nothing}"], "print the config: ", None),
    "no metrics": (["eval", "digits"], "as in ", ["samples=4", "copies=0"]),
    "nowhere": (["resume", "nowhere"], "start one: ", ["dry_run=true"]),
    "finished": (["resume", RUN], "To make it longer: ", []),
    "change": (["resume", RUN, "batch_size=8"], "from this state: ", ["folder=changed"]),
    "no checkpoint": (["resume", "started", "branch=true"], "Continue it first: ", []),
    "lone checkpoint": (["resume", "a b.ckpt"], "start a new run from it: ", ["folder=branch"]),
    "other run": (["resume", "points/checkpoints/other.ckpt"], "start a new run from it: ", ["folder=other"]),
    "quiz": (["quiz", RUN], "look at its samples: ", []),
    "translate": (["translate", RUN, "input=A"], "does not translate: ", []),
    "exists": (["train", *POINTS, "folder=unfinished"], "continue the run in it: ", []),
    "own class": (["sample", "mine"], "you trust it: ", []),
    "link": (["sample", "linked"], "you trust it: ", []),
    "link in a start": (["train", *POINTS, "folder=linked", "resume=true"], "you trust it: ", ["kimg=0.04"]),
    "sweep": (["sweep"], "To show a sweep: ", []),
    "compare": (["compare", RUN], "or a sweep: ", []),
    "no run yet": (["resume", "last"], "Start one: ", ["dry_run=true"]),
    "no sweep yet": (["sweep", "last"], "Start a sweep: ", ["dry_run=true", *POINTS]),
    "list of choices": (["train", "init=[1,2]"], "All: ", []),
    "missing group": (["train", "~optimizer"], "all choices: ", []),
    "other experiment": (["resume", RUN, "experiment=ring"], "Start it with ", ["dry_run=true"]),
    "logger": (["resume", "logged", "kimg=0.04"], "you trust it: ", []),
    "parent": (["train", *POINTS, "parent=abc"], "parent is set by ", ["folder=parented"]),
    "other scores": (["compare", "few", "many"], "comparable: ", []),
    "broken": (["resume", "broken"], "Start it again: ", ["dry_run=true"]),
    "link in a sweep": (
        ["train", "-m", *POINTS, "seed=1,2", "folder=linked sweep", "model._target_=mine.Mine"],
        "you trust it: ",
        [],
    ),
    "unfinished sweep": (["sweep", "waiting"], "continue      ", ["trust=true"]),
    "longer sweep": (["sweep", "resume", "stopped", "kimg=0.04"], "one of its runs longer: ", ["trust=true"]),
    "end of a run": (["train", *POINTS, "folder=it's new"], "next          ", []),
    "end of a run of a translator": (["train", *TRANSLATION, "folder=it's a horse"], "next          ", []),
    "end of a sweep": (["sweep", "resume", "stopped"], "you trust it: ", []),
}
IN_EMPTY_FOLDER = {"no run yet", "no sweep yet"}
# What no scenario brings about, and why not
AFTER_RUNS = "executed in runs/test_advised_commands.py"
ELSEWHERE = {
    "cli/commands/eval.py: ganrun eval --folder ": "an example with the names of folders to give",
    "cli/config_file.py: ganrun_command('train')": "FILE.yaml is a place holder",
    "cli/config_file.py: ganrun_command('train', '--config-dir')": "FOLDER is a place holder",
    "cli/commands/export.py: ganrun_command('eval', out, *trust)": "tests/cli/commands/test_export.py executes it",
    "cli/commands/export.py: ganrun_command(*verb, *trust)": "tests/cli/commands/test_export.py executes it",
    "config/foreign_words.py: ganrun resume RUN": "RUN is a place holder, and the verb no setting of this one",
    "training/export/card.py: ganrun eval FOLDER`": "as in `cli/commands/export.py`",
    "training/export/script.py: ganrun sample RUN)": "in the help of a script that is written",
    "cli/arguments.py: ganrun ": "the name of a command in a message about its flags and settings",
    "cli/choices.py: ganrun ": "the name of a command in a message about its settings",
    "cli/commands/runs.py: ganrun ": "the name of a command in a message about its flags",
    "cli/commands/runs.py: ganrun runs ": AFTER_RUNS,
    "cli/commands/runs.py: ganrun runs diff RUN RUN": AFTER_RUNS,
    "cli/commands/runs.py: ganrun runs rm outputs/train/gan-ring/2026-01-31-120000": AFTER_RUNS,
    "cli/commands/runs.py: ganrun runs tag last baseline": AFTER_RUNS,
    "cli/commands/runs.py: ganrun_command('runs', 'clean', *names, 'resumable=true')": AFTER_RUNS,
    "cli/commands/runs.py: ganrun_command('runs', 'clean', *names, *(['resumable=true'] if takes_resumable else []), '--yes')": AFTER_RUNS,  # noqa: E501
    "cli/commands/runs.py: ganrun_command('runs', 'rm', *folders, *(['all=true'] if takes_all else []), '--yes')": (
        AFTER_RUNS
    ),
    "cli/commands/runs.py: ganrun_command('train')": AFTER_RUNS,
    "cli/commands/save.py: ganrun_command('save', folder, f'limit={2 * limit + 1:g}')": AFTER_RUNS,
    "cli/commands/save.py: ganrun_command('status', folder)": AFTER_RUNS,
    "cli/commands/stop.py: ganrun_command('stop', folder)": AFTER_RUNS,
    "cli/commands/stop.py: ganrun_command('stop', folder, 'now=true')": AFTER_RUNS,
    "cli/commands/stop.py: ganrun_command('stop', folder.absolute())": "on another machine: as for this one",
    "cli/runs/live.py: ganrun ": AFTER_RUNS,
    "cli/runs/live.py: ganrun_command('resume', folder)": AFTER_RUNS,
    "cli/runs/live.py: ganrun_command('status', folder)": AFTER_RUNS,
    "cli/runs/live.py: ganrun_command('train')": AFTER_RUNS,
    "cli/runs/report.py: ganrun_command(*words)": AFTER_RUNS,
    "training/runs/find.py: ganrun_command('runs')": AFTER_RUNS,
    "training/runs/find.py: ganrun_command('runs', folder)": AFTER_RUNS,
    "training/runs/removal.py: ganrun_command('runs', 'rm', folder, 'all=true')": AFTER_RUNS,
    "training/runs/removal.py: ganrun_command('stop', folder)": AFTER_RUNS,
    "training/runs/removal.py: ganrun_command('stop', locked)": AFTER_RUNS,
    "training/runs/tags.py: ganrun runs tag RUN baseline": AFTER_RUNS,
    "cli/hydra_errors.py: ganrun ": "of errors that no message explains: train --info defaults",
    "cli/hydra_errors.py: ganrun_command(command.verb, command.run, *flags, *given, 'data.root=NEW')": (
        "executed in commands/test_fine_tuning.py"
    ),
    "cli/main.py: ganrun ": "the version",
    "config/resume_rules.py: ganrun_command('train', *([f'init_from={quote_override(after)}'] if after else []))": (
        "executed in commands/test_init_from.py"
    ),
    "sweep/saved_command.py: ganrun_command('sweep', 'resume', plan.folder, 'trust=true')": "as in `end of a sweep`",
    "training/fitting_weights.py: ganrun_command(*sys.argv[1:], 'fresh=true')": "see commands/test_fine_tuning.py",
    "training/callbacks/callback_list.py: ganrun resume RUN branch=true": "as in `parent`",
    "training/callbacks/nan_guard.py: ganrun_command('resume', run_dir, 'branch=true')": "see test_nan_guard.py",
    "training/checkpoint_io.py: ganrun_command('resume', path.parent.parent)": "of full disks: as in `no checkpoint`",
    "training/continuation.py: ganrun train": "of runs older than version 0.1: as in `broken`",
    "training/continuation.py: ganrun_command('resume', path, 'branch=true', *moved_root(experiment.cfg, content))": (
        "executed in commands/test_fine_tuning.py"
    ),
    "training/dry_run.py: ganrun train": "the title of a table",
    "training/inference.py: ganrun_command('translate', self.run_dir, 'input=FOLDER')": "as in commands/test_sample.py",
    "training/precision.py: ganrun_command('resume', path, 'branch=true', 'trainer.precision=32-true')": (
        "executed in test_precision.py"
    ),
    "training/run_folder.py: ganrun_command('resume', folder)": "of full disks: as in `no checkpoint`",
    "training/session.py: ganrun_command('resume', record.folder)": "after Ctrl-C: as in `no checkpoint`",
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def advised_commands():
    """Yield the commands in the texts of the package as MODULE: COMMAND, and the lines of each.

    Docstrings are left out, and the examples of --help, which tests/docs and test_help.py execute.
    """
    for path in {*PACKAGE.rglob("*.py")} - {PACKAGE / "cli" / "help.py", PACKAGE / "cli" / "run_help.py"}:
        nodes = [*ast.walk(ast.parse(path.read_text()))]
        docstrings = [node.body[0].value for node in nodes if isinstance(node, DOCUMENTED) and ast.get_docstring(node)]
        for node in nodes:
            commands = []
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "ganrun_command":
                commands = [ast.unparse(node)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                commands = ADVICE.findall(node.value)[:1]
            for command in commands:
                lines = {f"{path}:{line}" for line in range(node.lineno, node.end_lineno + 1)}
                yield f"{path.relative_to(PACKAGE)}: {command}", lines


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A process for many commands, in a folder with runs of all states."""
    folder = tmp_path_factory.mktemp("advice")
    (folder / "mine.py").write_text(MINE)
    for name in ("A", "B", "empty"):
        (folder / name).mkdir()
        for i in range(4 if name != "empty" else 0):
            Image.new("RGB", (28, 28), (50 * i, 9, 90)).save(folder / name / f"{i}.png")
    with WarmProcess() as process:

        def run(args, traced="", cwd="."):
            return process.run(args, folder / cwd, folder / "output", {}, 120, traced)

        assert run(["train", *POINTS, f"folder={quote_override(RUN)}"]).code == 0
        assert run(["train", *DIGITS, "folder=digits"]).code == 0
        assert run(["train", *POINTS, "folder=mine", "model._target_=mine.Mine"]).code == 0
        assert run(["train", "-m", *POINTS, "seed=1,2", "sweep.name=stopped", "model._target_=mine.Mine"]).code == 0
        for count, name in enumerate(["few", "many"], 20):
            options = ["model=gan", "data=ring", "logger=none", *SHORT, f"metrics.samples={count}"]
            assert run(["train", *options, f"folder={name}"]).code == 0
        logger = ["logger=csv", "logger.save_dir=elsewhere"]
        assert run(["train", *(arg for arg in POINTS if arg != "logger=none"), *logger, "folder=logged"]).code == 0
        assert run(["train", *POINTS]).code == 0  # `last`
        for name in ("points", "started", "unfinished", "linked", "broken"):
            shutil.copytree(folder / RUN, folder / name)
        sweeps = folder / "outputs" / "sweeps"
        for copy in (folder / "linked sweep", sweeps / "waiting"):
            shutil.copytree(sweeps / "stopped", copy)
        for name in ("linked", "linked sweep"):
            (folder / name / "link").symlink_to(folder)
        for name in ("started", "broken"):
            shutil.rmtree(folder / name / "checkpoints")
        (folder / "broken" / "config.yaml").unlink()
        for path in [folder / name / "status.json" for name in ("started", "unfinished", "broken")]:
            path.write_text(path.read_text().replace('"done"', '"interrupted"'))
        path = sweeps / "waiting" / "sweep.json"
        path.write_text(path.read_text().replace('"done"', '"waiting"'))
        saved = min((folder / "digits" / "checkpoints").glob("*.ckpt"))
        shutil.copy(saved, folder / "a b.ckpt")
        shutil.copy(saved, folder / "points" / "checkpoints" / "other.ckpt")
        yield run


@pytest.fixture(scope="module")
def begin(place):
    """Runs the command of a scenario, once."""
    return cache(lambda name: place(SCENARIOS[name][0], str(PACKAGE), "empty" if name in IN_EMPTY_FOLDER else "."))


def split_by_bash(command):
    result = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True)
    return os.fsdecode(result.stdout).split("\0")[:-1]


def placeholders_filled(args):
    places = {"NAME": "stopped", "RUN": "digits", "OTHER": "points", "FOLDER": "A", "SWEEP.": "stopped"}
    return [places.get(arg, arg.replace("=FOLDER", "=A")) for arg in args]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_advised_command_is_accepted_by_bash_and_ganrun(place, begin, name):
    _, before, more = SCENARIOS[name]
    text = begin(name).text
    assert before + "ganrun " in text, text
    advice = re.split(r"   or   |\. |, (?:or|and) | \(|\n", text.split(before)[-1])[0].rstrip(".")
    program, *args = placeholders_filled(split_by_bash(advice))
    assert program == "ganrun"
    result = place([*args, *(more or [])])
    assert result.code == 0, f"{advice}\n{result.text}"


def test_each_advised_command_comes_from_a_scenario_or_is_executed_elsewhere(begin):
    executed = set().union(*(begin(name).lines for name in SCENARIOS))
    assert {name for name, lines in advised_commands() if not lines & executed} == ELSEWHERE.keys()


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
    argument = split_by_bash(command)[2]
    assert argument in (name, f"./{name}")
    assert not re.match(r"[-~]|[^/]*=|last$", argument)


@pytest.mark.parametrize("group", sorted(path.name for path in (PACKAGE.parent / "conf").iterdir() if path.is_dir()))
def test_every_group_can_be_listed(place, group):
    if group not in ("run",):
        assert place(["list", group]).code == 0
