"""Commands killed (SIGKILL) at each change of files: nothing half-made stays, and the same command works again."""

import json
import os
import shutil

import numpy as np
import pytest
from helpers.kill_everywhere import killed_everywhere
from helpers.runs import QUIET, SMALL_RING, equal, status, weights
from PIL import Image

from ganrun.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")]
TINY = ["network.width=2", "metrics=none", "logger=none", "batch_size=2", "kimg=0.004", "checkpoint.kimg=0.002"]
SEEN = ["os.mkdir", "os.rename"]  # changes that every new folder needs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a finished run, and the prepared data of one."""
    folder = tmp_path_factory.mktemp("trained") / "template"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GANRUN_CACHE", "cache")
        assert main(["train", "model=dcgan", "data=digits", *TINY, "folder=run"]) == 0
    return folder


@pytest.fixture
def template(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "template")


def below(entries, name):
    return [entry for entry in entries if entry == name or entry.startswith(f"{name}/")]


def unfinished(entries):
    return [entry for entry in entries if ".unfinished" in entry]


def contents(folder):
    """Return the content of each file, without the path of the folder that it names."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes().replace(bytes(folder.parent), b"") for p in paths}


def assert_whole_or_absent(results, name):
    """Assert that the folder `name` is never seen in parts, and that it is there after the command was given again."""
    whole = contents(results[0].folder.with_name("whole") / name)
    assert {result.change.split()[0] for result in results}.issuperset(SEEN)
    assert any(unfinished(result.left) for result in results)
    for result in results:
        is_made = (result.folder / name).exists() and bool(below(result.left, name))
        assert contents(result.folder / name) == whole, result.change
        assert result.again == (2 if is_made else 0), result.output
        if not is_made:
            assert not unfinished(result.after), result.change


@pytest.mark.parametrize("kind", ["npz", "folder", "grid"])
def test_samples_are_whole_or_absent(template, kind):
    results = killed_everywhere(template, ["sample", "run", "n=3", f"as={kind}", "out=made"])
    for result in results:
        assert len(below(result.left, "made")) in (0, {"npz": 2, "folder": 4, "grid": 2}[kind]), result.change
    assert_whole_or_absent(results, "made")


def test_an_exported_model_is_whole_or_absent(template):
    results = killed_everywhere(template, ["export", "run", "out=made"])
    for result in results:
        assert len(below(result.left, "made")) in (0, 7), result.change
    assert_whole_or_absent(results, "made")


def test_scores_and_statistics_are_whole_or_absent(template):
    args = ["eval", "run", "metrics=lenet", "samples=20", "metrics.reference=200", "copies=20"]
    for result in killed_everywhere(template, args):
        assert result.again == 0, result.output
        for folder in (result.folder / "outputs" / "eval").iterdir():
            if not folder.name.startswith("."):
                assert json.loads((folder / "scores.json").read_text())["scores"]
                assert list(folder.glob("*.png"))
        assert not unfinished(result.after), result.change
        assert "unusable" not in result.output


def test_a_new_run_can_be_started_again_or_resumed(tmp_path):
    template = tmp_path / "template"
    (template / "pictures").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(np.full((28, 28), 50 * i, np.uint8)).save(template / "pictures" / f"{i}.png")
    data = ["data=folder", "data.root=pictures", "data.size=28", "data.channels=1"]
    results = killed_everywhere(template, ["train", "model=dcgan", *data, *TINY, "folder=run"], last=30)
    assert any("cache" in entry for result in results for entry in unfinished(result.left))
    assert any(entry.startswith(".run") for result in results for entry in unfinished(result.left))
    for result in results:
        made = below(result.left, "run")
        assert not made or {"run/config.yaml", "run/status.json"} <= {*made}, result.change
        assert_continued(result, "run", bool(made))


def test_a_branch_is_a_run_that_can_be_resumed_or_absent(template):
    results = killed_everywhere(template, ["resume", "run", "branch=true", "folder=branch", "kimg=0.008"], last=20)
    assert any(below(result.left, "branch") for result in results)
    for result in results:
        made = below(result.left, "branch")
        assert not made or {"branch/status.json", "branch/config.yaml", "branch/checkpoints/manifest.json"} <= {*made}
        assert_continued(result, "branch", bool(made))
        assert "again: it has no checkpoint" not in result.output


def assert_continued(result, name, is_made):
    """Assert that the run was started again or, if it was made, continued as advised, and ended like one not killed."""
    assert (result.again, result.advised) == ((2, 0) if is_made else (0, None)), (result.change, result.output)
    assert status(result.folder / name)["state"] == "done"
    whole = result.folder.with_name("whole")
    assert equal(weights(result.folder / name), weights(whole / name)), result.change
    assert not unfinished(result.after), result.change


def test_a_sweep_is_started_again_by_the_same_command(tmp_path):
    (tmp_path / "template").mkdir()
    search = [
        "batch_size=4",
        "kimg=0.008",
        "metrics.samples=20",
        "sweep=random",
        "sweep.trials=1",
        "optimizer.lr=interval(0.001,0.002)",
        "folder=sweep",
    ]
    results = killed_everywhere(tmp_path / "template", ["train", "-m", *SMALL_RING, *search], last=12)
    assert any("sweep/study.journal" in result.left for result in results)
    assert any("sweep/sweep.json" not in result.left for result in results)
    for result in results:
        assert result.again == 0, (result.change, result.output)
        jobs = json.loads((result.folder / "sweep" / "sweep.json").read_text())["jobs"]
        assert [job["state"] for job in jobs] == ["done"]
        assert not unfinished(result.after)


def test_translations_are_whole_or_absent(tmp_path, monkeypatch):
    template = tmp_path / "template"
    template.mkdir()
    monkeypatch.chdir(template)
    args = ["model=cyclegan", "data=unpaired_digits", "network=cyclegan_small", "network.width=4", "network.blocks=1"]
    assert main(["train", *args, *QUIET, "batch_size=2", "kimg=0.002", "folder=run"]) == 0
    (template / "pictures").mkdir()
    for i in range(2):
        Image.new("L", (28, 28), 90 * i).save(template / "pictures" / f"{i}.png")
    results = killed_everywhere(template, ["translate", "run", "input=pictures", "to=b", "out=made"])
    assert_whole_or_absent(results, "made")
    assert {len(below(result.left, "made")) for result in results} == {0, 5}


def test_comparisons_are_whole_or_absent(template):
    shutil.copytree(template / "run", template / "other")
    results = killed_everywhere(template, ["compare", "run", "other", "out=made"])
    assert_whole_or_absent(results, "made")
    assert {len(below(result.left, "made")) for result in results} == {0, 2}
