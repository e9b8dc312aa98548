"""What strangers wrote reaches the terminal as text: no escape sequence, no markup, no line of its own."""

import ast
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.hostile import SEQUENCES
from rich.table import Table

from ganrun import terminal
from ganrun.cli import main as command_line
from ganrun.errors import UserError, printable
from ganrun.terminal import PlainConsole

PACKAGE = Path(terminal.__file__).parent
NAMES = ["Müller", "数据集", "שלום", "مجموعه", "नमस्ते", "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️", "a b", r"C:\runs", "50 %", "lr=1e-3,2"]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_any_language_are_printed_as_they_are(name, capsys):
    assert printable(name) == name
    PlainConsole(width=80).print(name, highlight=False)
    assert capsys.readouterr().out == f"{name}\n"


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_each_control_character_is_shown_and_does_not_act(sequence):
    shown = printable(f"a{sequence}b")
    assert shown.isascii()
    assert shown.isprintable()
    assert shown.startswith("a\\")


def test_every_control_character_of_unicode_is_escaped():
    controls = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0xD800, 0xE000)]
    bidirectional = [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    assert all(printable(chr(code)).isascii() for code in controls + bidirectional)


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_the_arguments_of_a_log_message_stay_on_its_line(sequence, capsys, monkeypatch):
    logger = logging.getLogger("ganrun")
    monkeypatch.setattr(logger, "handlers", [])
    terminal.configure_logging()
    logger.info("job %s:\n%d", f"a{sequence}b", 3)
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"job a{printable(sequence)}b:"
    assert second == "3"


def test_the_traceback_in_a_log_message_is_printable():
    try:
        raise ValueError("\x1b]0;owned\x07")
    except ValueError as error:
        record = logging.LogRecord("ganrun", 40, "", 1, "failed", None, (ValueError, error, error.__traceback__))
    text = terminal.LogFormatter().format(record)
    assert "ValueError: \\x1b]0;owned\\x07" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("error", [UserError("no \x1b[2J\nganrun: ok"), ValueError("no \x1b[2J\rok")])
def test_an_error_that_quotes_a_file_is_printed_without_its_controls(error, capsys, monkeypatch):
    def fail(args):
        raise error

    monkeypatch.setattr(command_line, "dispatch", fail)
    assert command_line.main([]) == getattr(error, "exit_code", 1)
    message = capsys.readouterr().err
    assert "no \\x1b[2J" in message
    assert not set(message) & {"\x1b", "\r"}
    assert sum(line.startswith("ganrun:") for line in message.splitlines()) == isinstance(error, UserError)


def test_a_warning_is_printed_without_controls(monkeypatch):
    script = "from ganrun import terminal; terminal.configure_logging(); import warnings; warnings.warn('a\\x1b[2Jb')"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "a\\x1b[2Jb" in run.stderr
    assert "\x1b" not in run.stderr


@pytest.mark.parametrize("markup", ["[red]a[/red]", "[link=https://example.com]a[/link]", "[/x]", ":smile:", "[b"])
def test_markup_in_texts_tables_and_progress_bars_is_shown_and_does_not_act(markup, capsys):
    table = Table(markup, title=markup)
    table.add_row(markup)
    table.caption = markup
    console = PlainConsole(width=100, force_terminal=True, highlight=False)
    console.print(markup, table, sep="\n")
    out = capsys.readouterr().out
    assert out.count(markup) == 5
    assert "example.com\x1b" not in out


def test_a_progress_bar_shows_its_title_as_it_is(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(terminal.progress_bar([1, 2], "[red]a\x1b[2J")) == [1, 2]
    assert "[red]a\\x1b[2J" in capsys.readouterr().err


# The functions that print, and the modules that may call them
PRINTERS = {
    "print": {"errors"},
    "sys.stdout.write": {"errors"},
    "sys.stderr.write": {"errors"},
    "traceback.print_exc": set(),
    "traceback.print_exception": set(),
    "Console": set(),
    "Text": {"terminal"},
    "logging.StreamHandler": {"terminal"},
    "track": set(),
}


def test_everything_is_printed_through_the_functions_that_escape():
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in PRINTERS and path.stem not in PRINTERS[name]:
                found.append(f"{path.name}:{node.lineno} calls {name}")
    assert not found
