"""Fills tables of the documentation from the comments of the config files, so that they cannot go stale.

In a page, `<!-- settings: verbs -->` and `<!-- settings: groups -->` become the tables of all settings, and
`<!-- choices: data -->` becomes the table of the choices of the group data.
"""

import html
import re
from collections.abc import Callable, Iterable
from typing import Any

from ganrun import files
from ganrun.config import docs
from ganrun.config.schema import find_setting

VERBS = ("train", "resume", "eval", "sample", "translate")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with its markers replaced by tables."""
    for kind, section in SECTIONS.items():
        markdown = re.sub(rf"<!-- {kind}: (\w+) -->", lambda match, section=section: section(match[1]), markdown)
    return markdown


def settings(which: str) -> str:
    return verbs() if which == "verbs" else groups()


def choices(group: str) -> str:
    """Return a table of the choices of a config group."""
    rows = [
        f"| [{code(name)}](settings.md#{group}-{name}) | {text(docs.one_line_summary(path))} |"
        for name, path in docs.group_choices(group, docs.conf_dirs()).items()
    ]
    return "\n".join([f"| `{group}=` | |", "|---|---|", *rows])


def verbs() -> str:
    """Return a section per command: the settings in conf/VERB.yaml."""
    conf = files.conf_dir()
    return "\n\n".join(
        f"### ganrun {verb} {{#{verb}}}\n\n`conf/{verb}.yaml`: {text(docs.one_line_summary(conf / f'{verb}.yaml'))}\n\n"
        + table(docs.documented_keys(conf / f"{verb}.yaml"))
        for verb in VERBS
    )


def groups() -> str:
    """Return a section per config group, and in it a table for each choice."""
    folders = docs.conf_dirs()
    return "\n\n".join(section for group in docs.group_names(folders) for section in group_sections(group, folders))


def group_sections(group: str, folders: list) -> Iterable[str]:
    yield f"### {group}= {{#{group}}}"
    for name, path in docs.group_choices(group, folders).items():
        yield f"#### {group}={name} {{#{group}-{name}}}"
        yield f"`conf/{group}/{name}.yaml`: {text(docs.one_line_summary(path))}"
        keys = [key._replace(name=docs.key_prefix(group, path) + key.name) for key in docs.documented_keys(path)]
        if keys:
            yield table(keys)


def table(keys: list[docs.DocumentedKey]) -> str:
    rows = [f"| {code(key.name)} | {code(key.default)} | {meaning(key)} |" for key in keys]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def meaning(key: docs.DocumentedKey) -> str:
    """Return the comment of a setting, and in small print what the schema knows of it."""
    setting = find_setting(key.name)
    notes = [setting.allowed.description] if setting.allowed else []
    notes += ["may change on resume"] if setting.resumable else []
    return f"{text(key.comment)}<br><small>{text('; '.join(notes))}</small>" if notes else text(key.comment)


def code(value: str) -> str:
    """Return inline code for a table cell; HTML, because a pipe in backticks would end the cell."""
    escaped = (
        html.escape(value).replace("|", "&#124;").replace("{", "&#123;").replace("*", "&#42;").replace("_", "&#95;")
    )
    return f"<code>{escaped}</code>"


def text(value: str) -> str:
    """Return prose for a table cell with nothing in it read as Markdown."""
    for sign in "\\`*_{}[]<>|":
        value = value.replace(sign, f"&#{ord(sign)};")
    return value


SECTIONS: dict[str, Callable[[str], str]] = {"settings": settings, "choices": choices}
