"""Signals to commands that are not training, and output to a terminal that is closed."""

import os
import pty
import signal
import sys

import pytest

from ganrun import files
from ganrun.cli.output import prepare_streams

STOPS = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def handlers():
    before = {signum: signal.signal(signum, signal.SIG_DFL) for signum in STOPS}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def build_until(*signums):
    """Return work that gets these signals while it builds a folder, and while that is removed again."""

    def work(cfg, folder):
        with files.building(files.Path("made")) as partial:
            partial.mkdir()
            (partial / "half").touch()
            try:
                signal.raise_signal(signums[0])
            finally:
                for signum in signums[1:]:
                    signal.raise_signal(signum)

    return work


@pytest.mark.parametrize("verb", ["train", "eval", "sample", "translate"])
@pytest.mark.parametrize("signum", STOPS)
def test_a_signal_ends_a_command_with_its_exit_code_and_nothing_half_made(cli, capfd, monkeypatch, verb, signum):
    (cli.folder / "run").mkdir()
    for name in ("sample", "translate"):
        (cli.conf / f"{name}.yaml").write_text((cli.conf / "eval.yaml").read_text())
    cli.work = build_until(signum)
    assert cli.run(verb, *[] if verb == "train" else ["run"]) == 128 + signum
    assert capfd.readouterr().err.endswith(f"ganrun: interrupted by {signum.name}\n")
    assert not list(cli.folder.glob(".*"))
    assert [signal.getsignal(each) for each in STOPS] == 2 * [signal.SIG_DFL]


def test_the_further_signals_of_a_terminal_that_closes_do_not_disturb_the_end(cli):
    cli.work = build_until(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM)
    assert cli.run("train") == 129
    assert not list(cli.folder.iterdir())


def test_an_ignored_signal_stays_ignored(cli):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    cli.work = build_until(signal.SIGHUP)
    assert cli.run("train") == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_the_handler_of_an_application_stays(cli):
    received = []
    signal.signal(signal.SIGTERM, lambda signum, _: received.append(signum))
    cli.work = build_until(signal.SIGTERM)
    assert cli.run("train") == 0
    assert received == [signal.SIGTERM]


def test_output_to_a_terminal_that_was_closed_is_dropped(monkeypatch):
    terminal, process_side = pty.openpty()
    stream = os.fdopen(process_side, "w")
    monkeypatch.setattr(sys, "stderr", stream)
    prepare_streams()
    print("kimg 1", file=sys.stderr, flush=True)
    assert os.read(terminal, 100) == b"kimg 1\r\n"
    os.close(terminal)
    with pytest.raises(OSError, match="Input/output"):
        os.write(process_side, b"x")
    print("kimg 2", file=sys.stderr, flush=True)
    wrapped = sys.stderr
    prepare_streams()
    assert sys.stderr is wrapped
    stream.close()
