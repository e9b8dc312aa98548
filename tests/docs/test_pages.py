"""What README.md, CONTRIBUTING.md and docs/ say of files, settings and commands is so."""

import importlib.util
import re
import shlex

import pytest
from helpers.doc_blocks import REPOSITORY, pages

from ganrun.cli import environment
from ganrun.cli.main import VERBS, main
from ganrun.config import docs, trainer_arguments
from ganrun.sweep import state

PAGES = [str(page.relative_to(REPOSITORY)) for page in pages()]
INLINE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"(?:ganrun|conf|scripts|tests|docs|benchmarks)/[\w./-]*")
OTHERS = {
    "classes",
    "callbacks.samples",
    "hydra/launcher",
    "hydra/sweeper",
    "hydra.launcher.n_jobs",
    "metric",
    "input",
    "key",
    "group",
    "resumable",  # of `ganrun runs clean`
}


def text_of(page):
    """The page without its code blocks."""
    return re.sub(r"```.*?```", "", (REPOSITORY / page).read_text(), flags=re.DOTALL)


def variables_that_ganrun_reads():
    """The names of environment variables in calls such as environ.get("X") and in lists such as RANKS."""
    for path in (REPOSITORY / "ganrun").rglob("*.py"):
        text = path.read_text()
        yield from re.findall(r"""environ(?:\.get\(|\.pop\(|\[)"([A-Z_]+)""", text)
        yield from re.findall(r""""([A-Z_]+)"(?: not)? in os\.environ""", text)
    yield from (*environment.RANKS, *environment.SIZES, *environment.STARTERS, "MASTER_PORT", state.SWEEP_VARIABLE)
    yield f"{trainer_arguments.PREFIX}*"


def test_the_servers_page_has_every_environment_variable():
    names = {*variables_that_ganrun_reads()}
    assert {"GANRUN_OUTPUTS", "GANRUN_CACHE", "CXX", "SLURM_JOB_ID", "RANK"} <= names
    assert names <= {*inline_code("docs/servers.md")}


def inline_code(page):
    return INLINE.findall(text_of(page))


@pytest.fixture(scope="module")
def settings_page():
    """docs/settings.md as the site shows it."""
    spec = importlib.util.spec_from_file_location("docs_hooks", REPOSITORY / "docs" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return hooks.on_page_markdown((REPOSITORY / "docs" / "settings.md").read_text(), page=None)


def all_settings():
    """(file, dotted key) of every setting in conf/."""
    folders = docs.conf_dirs()
    verbs = [path for verb in VERBS if (path := REPOSITORY / "conf" / f"{verb}.yaml").is_file()]
    keys = [(path, key.name) for path in verbs for key in docs.documented_keys(path)]
    for group in docs.group_names(folders):
        files = docs.group_choices(group, folders).values()
        keys += [(path, key.name) for path in files for key in docs.choice_keys(group, path)]
    return keys


def test_the_settings_page_has_every_setting(settings_page):
    shown = settings_page.replace("&#95;", "_")
    missing = {f"{path}: {key}" for path, key in all_settings() if f"<code>{key}</code>" not in shown}
    assert missing == set()


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page):
    for code in inline_code(page):
        path = FILE.match(code)
        if path:
            assert (REPOSITORY / path[0].partition("<")[0]).exists(), code


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_a_page_names_exist(page):
    keys = {key for _, key in all_settings()} | OTHERS | set(docs.group_names(docs.conf_dirs()))
    for code in inline_code(page):
        for name in re.findall(r'^([a-z][\w./]+)=(?!")', code):
            assert name in keys or any(key.startswith(f"{name}.") for key in keys), code


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_of_a_page_are_right(page, tmp_path, monkeypatch, capsys):
    """Trainings are planned, not run; those on images that are not here are left to the tests of data sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    for command in [code for code in inline_code(page) if code.startswith("ganrun ")]:
        verb, *args = shlex.split(command)[1:]
        assert verb in {*VERBS, "VERB", "COMMAND", "-sc"}, command
        if verb == "train" and "-m" not in args and not any(arg.startswith("data.root=") for arg in args):
            assert main(["train", *args, "dry_run=true"]) == 0, (command, capsys.readouterr().err)


def test_the_readme_is_short():
    assert len((REPOSITORY / "README.md").read_text().split()) <= 700


def test_links_of_the_readme_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (REPOSITORY / "README.md").read_text()):
        assert target.startswith("https://") or (REPOSITORY / target).exists(), target
