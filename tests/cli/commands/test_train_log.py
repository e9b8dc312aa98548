"""What a training shows in a terminal, and that its train.log holds the same."""

import io
import re
from pathlib import Path

from helpers.runs import RING, status

from ganrun.cli.main import main
from ganrun.training.callbacks.progress import Progress

SCORED = ["model=gan", "data=ring", "kimg=0.08", "batch_size=4", "metrics.samples=50", "logger=none", "folder=run"]
BOOM = """
from pytorch_lightning import Callback

class Boom(Callback):
    def on_train_batch_end(self, *arguments):
        raise RuntimeError("it is \\x1b[31mlost")
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def log_of(folder="run"):
    return Path(folder, "train.log").read_text()


def use_terminal(monkeypatch):
    """Make stderr a terminal of 80 columns, with a line that is redrawn at each batch; return the stream.

    Called within the test: pytest takes stderr back between a fixture and its test.
    """
    stream, start = Terminal(), Progress.on_train_start
    for name, value in {"TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stderr", stream)

    def eager(self, *arguments):
        start(self, *arguments)
        self.pause = 0

    monkeypatch.setattr(Progress, "on_train_start", eager)
    return stream


def test_a_terminal_says_at_once_what_it_does_and_never_more_than_fits(cli, monkeypatch):
    terminal = use_terminal(monkeypatch)
    assert cli.run("train", *SCORED) == 0
    shown = terminal.getvalue()
    parts = [
        "gan on ring, 0.08 kimg",
        ": loading PyTorch ...",
        "building the networks",
        "gan on ring: 100,000 points of 2",
    ]
    parts += [
        "0.08 kimg on cpu",
        "5 %  4 images",
        "scoring",
        "scoring (last)",
        "100 %  80 images",
        "0:00 left  mode overlap ",
    ]
    places = [shown.find(part) for part in parts]
    assert -1 not in places
    assert places[:5] == sorted(places[:5])
    lines = re.split(r"[\r\n]", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown))
    assert max(len(line) for line in lines if "images" in line) <= 80


def test_the_log_has_what_the_terminal_shows(cli, monkeypatch, capsys):
    use_terminal(monkeypatch)
    assert cli.run("train", *SCORED) == 0
    log, out = log_of(), capsys.readouterr().out
    assert "gan on ring: 100,000 points of 2" in log
    assert re.search(r"^100 %  80 images  \S+/s  0:00 left  mode overlap", log, re.MULTILINE)
    for line in out.splitlines():
        assert line.rstrip() in log
    assert "next          ganrun sample run   or   ganrun eval run" in log
    assert "\x1b" not in log


def test_the_log_of_a_run_without_a_terminal_has_the_same(train, capsys):
    train(*RING)
    captured = capsys.readouterr()
    for line in (*captured.err.splitlines(), *captured.out.splitlines()):
        assert line.rstrip() in log_of()


def test_the_log_has_the_traceback_of_a_failure_and_no_controls(cli, capsys):
    Path("boom.py").write_text(BOOM)
    assert cli.run("train", *RING, "folder=run", "+callbacks.boom._target_=boom.Boom") == 1
    log = log_of()
    assert "Traceback" in log
    assert "RuntimeError: it is \\x1b[31mlost" in log
    assert "boom.py" in log
    assert "RuntimeError: it is" in capsys.readouterr().err


def test_the_log_has_the_message_of_a_run_that_ends_early(cli, capsys):
    assert cli.run("train", *RING, "folder=run", "optimizer.lr=1e30") == 1
    (message,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ganrun: ")]
    assert message in log_of().splitlines()


def test_a_run_that_goes_on_says_from_where(cli, train, capsys):
    train(*RING)
    capsys.readouterr()
    assert main(["resume", "run", "kimg=0.064"]) == 0
    assert "goes on at 0.032 kimg, 0.064 kimg" in capsys.readouterr().err


def test_a_collapsed_training_ends_if_it_is_told_to_and_keeps_its_best(cli, capsys):
    args = [
        "model=gan",
        "data=ring",
        "kimg=4",
        "batch_size=4",
        "metrics.samples=50",
        "logger=none",
        "validate_kimg=0.4",
    ]
    still = ["optimizer.lr=1e-12", "on_collapse=stop", "folder=run"]  # too small to find a mode
    assert cli.run("train", *args, *still) == 0
    ended = status(cli.folder / "run")
    assert (ended["state"], ended["ended"], ended["kimg"]) == ("done", "collapsed", 1.6)
    assert "The training ends here, as on_collapse=stop: collapsed: " in log_of()
    assert "diagnosis     collapsed: " in capsys.readouterr().out
    assert (cli.folder / "run" / "checkpoints" / f"kimg{ended['best']['kimg']:010.3f}.ckpt").exists()


def test_a_mixture_of_gaussians_is_not_told_to_train_longer_for_its_few_batches(cli, capsys):
    assert cli.run("train", "model=gmm", "data=ring", "metrics.samples=500", "logger=none", "folder=run") == 0
    assert "too little training" not in capsys.readouterr().out
