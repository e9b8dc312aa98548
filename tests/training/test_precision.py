"""The precision that trainer.precision=auto chose is part of a run: it is recorded, and kept when the run goes on."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from helpers.machines import pretend_cpu
from helpers.runs import QUIET, equal, lines, load_checkpoint, status, weights

from ganrun.cli.main import main

SMALL = ["model=dcgan", "data=digits", "network.width=4", "batch_size=8", "ema.half_life_kimg=0.01", *QUIET]
V01 = Path(__file__).parents[1] / "fixtures" / "v0.1"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cpu(monkeypatch):
    return lambda has_bfloat16: pretend_cpu(monkeypatch, has_bfloat16)


def train(*args):
    assert main(["train", *SMALL, "kimg=0.032", *args]) == 0


def recorded(folder):
    """Return the precision in status.json and in the last checkpoint."""
    return status(Path(folder))["precision"], load_checkpoint(Path(folder))["ganrun"]["precision"]


def forget_precision(folder):
    """Make a run one of an earlier version, which recorded no precision."""
    for path in (folder / "checkpoints").glob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        del content["ganrun"]["precision"]
        torch.save(content, path)
    (folder / "checkpoints" / "manifest.json").unlink()  # has the hashes
    (folder / "status.json").write_text(json.dumps({k: v for k, v in status(folder).items() if k != "precision"}))


@pytest.mark.parametrize(("has_bfloat16", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_run_records_the_precision_and_the_plan_and_the_summary_say_why(cpu, has_bfloat16, precision, capsys):
    cpu(has_bfloat16)
    why = "computes bfloat16 natively" if has_bfloat16 else "this CPU does not compute bfloat16 natively"
    train("folder=run", "dry_run=true")
    assert re.search(f"precision *│ {precision}: .*{why}", capsys.readouterr().out)
    train("folder=run")
    assert re.search(f"precision *{precision}: .*{why}", capsys.readouterr().out)
    assert recorded("run") == (precision, precision)
    assert "precision: auto" in Path("run/config.yaml").read_text()


def test_scores_name_the_precision_of_the_training(cpu):
    cpu(True)
    settings = ["metrics=lenet", "metrics.samples=20", "metrics.reference=200"]
    assert main(["train", *SMALL[:-2], "logger=none", *settings, "kimg=0.008", "folder=run"]) == 0
    assert lines(Path("run"), "protocol")[-1]["protocol"]["trained_in"] == "bf16-mixed"


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_a_run_goes_on_in_its_precision_to_the_weights_of_an_unbroken_run(cpu, precision):
    cpu(precision == "bf16-mixed")
    train("folder=whole")
    train("folder=cut", "kimg=0.016")
    cpu(True)
    assert main(["resume", "cut", "kimg=0.032"]) == 0
    assert recorded("cut") == recorded("whole") == (precision, precision)
    assert equal(weights(Path("whole")), weights(Path("cut")))


def test_the_precisions_give_different_weights(cpu):
    train("folder=a", "trainer.precision=32-true")
    train("folder=b", "trainer.precision=bf16-mixed")
    assert not equal(weights(Path("a")), weights(Path("b")))


def test_the_same_seed_gives_the_same_weights_in_bfloat16(cpu):
    cpu(True)
    for folder in "ab":
        train(f"folder={folder}", "seed=3")
    assert equal(weights(Path("a")), weights(Path("b")))


@pytest.mark.parametrize("command", [["resume", "run", "kimg=0.048"], ["train", *SMALL, "kimg=0.048", "resume=true"]])
def test_a_cpu_without_bfloat16_refuses_to_go_on_and_its_advice_works(cpu, command, capsys):
    cpu(True)
    train("folder=run")
    before = weights(Path("run"))
    cpu(False)
    capsys.readouterr()
    assert main([*command, *(["folder=run"] if command[0] == "train" else [])]) == 2
    text = capsys.readouterr().err
    assert "chose bf16-mixed when the run of" in text
    assert "this CPU does not compute bfloat16 natively" in text
    advice = shlex.split(text[text.index("ganrun resume") :])
    assert advice[-2:] == ["branch=true", "trainer.precision=32-true"]
    assert main([*advice[1:], "folder=branch", "kimg=0.048"]) == 0
    assert recorded("branch") == ("32-true", "32-true")
    assert status(Path("branch"))["kimg"] == 0.048
    assert equal(before, weights(Path("run")))


def test_a_precision_that_the_user_chose_is_not_refused(cpu):
    cpu(True)
    train("folder=run", "trainer.precision=bf16-mixed")
    cpu(False)
    assert main(["resume", "run", "kimg=0.048"]) == 0
    assert recorded("run") == ("bf16-mixed", "bf16-mixed")


@pytest.mark.slow
@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_a_run_of_an_earlier_version_goes_on_in_float32(cpu, has_checkpoint):
    cpu(False)
    train("folder=whole", "kimg=0.048")
    train("folder=old")
    forget_precision(Path("old"))
    if not has_checkpoint:
        shutil.rmtree("old/checkpoints")
        Path("old/status.json").write_text(json.dumps({**status(Path("old")), "state": "running"}))
    cpu(True)
    assert main(["resume", "old", "kimg=0.048"]) == 0
    assert recorded("old") == ("32-true", "32-true")
    assert equal(weights(Path("whole")), weights(Path("old")))


@pytest.mark.slow
def test_a_run_of_version_0_1_goes_on_in_float32(cpu, tmp_path):
    cpu(True)
    shutil.copytree(V01 / "run", tmp_path / "run")
    assert main(["resume", "run", "kimg=0.128"]) == 0
    assert recorded("run") == ("32-true", "32-true")


def test_a_run_without_a_checkpoint_starts_again_on_a_cpu_without_bfloat16(cpu):
    cpu(True)
    train("folder=run")
    shutil.rmtree("run/checkpoints")
    Path("run/status.json").write_text(json.dumps({**status(Path("run")), "state": "running"}))
    cpu(False)
    assert main(["resume", "run"]) == 0
    assert recorded("run") == ("32-true", "32-true")


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_a_branch_has_its_parents_precision(cpu, precision):
    cpu(precision == "bf16-mixed")
    train("folder=run")
    cpu(True)
    assert main(["resume", "run", "branch=true", "folder=branch", "optimizer.lr=1e-4"]) == 0
    assert recorded("branch") == (precision, precision)


@pytest.mark.slow
def test_a_branch_takes_another_precision_on_request(cpu):
    cpu(False)
    train("folder=run")
    assert main(["resume", "run", "branch=true", "folder=branch", "trainer.precision=bf16-mixed"]) == 0
    assert recorded("branch") == ("bf16-mixed", "bf16-mixed")


def test_a_run_that_starts_from_the_weights_of_another_chooses_anew(cpu):
    cpu(False)
    train("folder=run")
    cpu(True)
    train("folder=next", "init_from=run")
    assert recorded("next") == ("bf16-mixed", "bf16-mixed")


@pytest.mark.parametrize("value", [7, None, ["bf16-mixed"]])
def test_a_precision_that_cannot_be_is_ignored_in_a_status(cpu, value):
    cpu(False)
    train("folder=run")
    shutil.rmtree("run/checkpoints")
    Path("run/status.json").write_text(json.dumps({**status(Path("run")), "precision": value, "state": "running"}))
    assert main(["resume", "run"]) == 0
    assert recorded("run") == ("32-true", "32-true")


@pytest.mark.slow
def test_comparisons_tell_runs_apart_by_the_precision_that_auto_chose(cpu, capsys):
    settings = ["metrics=lenet", "metrics.samples=20", "metrics.reference=200", "logger=none", "kimg=0.008"]
    for folder, has_bfloat16 in (("a", True), ("b", False)):
        cpu(has_bfloat16)
        assert main(["train", *SMALL[:-2], *settings, f"folder={folder}"]) == 0
    capsys.readouterr()
    assert main(["compare", "a", "b", "out=page"]) == 0
    text = capsys.readouterr().out
    assert "trainer.precision=bf16-mixed" in text
    assert "trainer.precision=32-true" in text
    assert "not ranked together" not in text
    assert "precision bf16-mixed: runs 0; precision 32-true: runs 1" in text
    assert "precision bf16-mixed: runs 0; precision 32-true: runs 1" in Path("page/report.html").read_text()
