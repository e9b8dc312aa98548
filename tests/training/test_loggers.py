"""Several loggers at once, and what is refused of them."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from helpers.runs import equal, weights

from ganrun.cli.main import main

SMALL = ["model=gan", "data=ring", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "log_every=2"]
SMALL += ["batch_size=100", "metrics=none"]
BOTH = "logger=[tensorboard,csv]"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows(folder):
    with Path(folder, "metrics.csv").open(newline="") as file:
        return [float(row["step"]) for row in csv.DictReader(file)]


def events(folder):
    return [*Path(folder).glob("events.out.tfevents.*")]


def test_each_logger_gets_the_curves_and_the_training_stays_the_same():
    assert main(["train", *SMALL, "kimg=1", BOTH, "folder=both"]) == 0
    assert main(["train", *SMALL, "kimg=1", "logger=none", "folder=none"]) == 0
    assert rows("both") == [200, 400, 600, 800, 1000]
    assert events("both")
    assert not events("none")
    assert equal(weights(Path("both")), weights(Path("none")))
    assert json.loads(Path("both/status.json").read_text())["choices"]["logger"] == "tensorboard"


def test_a_resumed_run_and_a_new_one_of_its_config_keep_all_loggers():
    assert main(["train", *SMALL, "kimg=0.4", BOTH, "folder=run"]) == 0
    assert main(["resume", "run", "kimg=0.8"]) == 0
    assert rows("run") == [200, 400, 600, 800]
    assert main(["train", "run/config.yaml", "folder=again"]) == 0
    assert rows("again") == [200, 400, 600, 800]
    assert events("again")
    assert yaml.safe_load(Path("again/config.yaml").read_text())["more_loggers"]["csv"]["save_dir"] == "again"


def test_a_branch_writes_all_logs_to_its_own_folder():
    assert main(["train", *SMALL, "kimg=0.4", BOTH, "folder=run"]) == 0
    before = Path("run/metrics.csv").read_bytes()
    assert main(["resume", "run", "branch=true", "kimg=0.8", "folder=branch"]) == 0
    assert Path("run/metrics.csv").read_bytes() == before
    assert rows("branch") == [600, 800]


def test_a_further_logger_that_leads_out_of_the_run_folder_is_refused(capsys):
    assert main(["train", *SMALL, "kimg=0.4", BOTH, "folder=run"]) == 0
    path = Path("run/config.yaml")
    content = yaml.safe_load(path.read_text())
    content["more_loggers"]["csv"]["name"] = "../../elsewhere"
    path.write_text(yaml.safe_dump(content))
    assert main(["train", "run/config.yaml", "folder=new"]) == 2
    assert "more_loggers.csv.name=../../elsewhere, which leads out of the run folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("logger", "message"),
    [
        ("logger=[csv,csv]", "logger=[csv,csv] names a logger twice"),
        ("logger=[tensorboard,wandb]", "logger=wandb needs the package wandb"),
        ("logger=[tensorboard,nix]", 'Unknown logger "nix"'),
        ("logger=[]", "logger must be the name of one choice, got []"),
    ],
)
def test_loggers_that_cannot_be_are_refused(logger, message, capsys, tmp_path):
    assert main(["train", *SMALL, "kimg=0.4", logger]) == 2
    assert message in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []
