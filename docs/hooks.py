"""Fills the documentation's tables from the config files and benchmarks/models.json, so that they cannot go stale.

In a page, `<!-- settings: verbs -->` and `<!-- settings: groups -->` become the tables of all settings, and
`<!-- choices: data -->` becomes the table of the choices of the group data. `<!-- results: ring -->` becomes the table
of all models compared on the ring, and `<!-- figures: gan -->` the rows of model=gan in each, with their commands and
its picture. Blocks of ```math become MathML, which browsers show without a script.
"""

import html
import json
import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ganrun import files
from ganrun.config import docs
from ganrun.config.schema import find_setting

WHEN = ("last", "best")  # checkpoints of a run that models.json has the scores of
VERBS = ("train", "resume", "eval", "sample", "look", "play", "translate", "quiz", "export")
RESULTS = Path(__file__).parents[1] / "benchmarks" / "models.json"  # written by scripts/compare_models.py
PICTURES = Path(__file__).parent / "images" / "models"
PAGES = {"gaussian": "gmm", "autoencoder": "vae", "ali": "bigan"}  # of models that have none of their own


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with its markers replaced by tables, and its equations by MathML."""
    for kind, section in SECTIONS.items():
        markdown = re.sub(rf"<!-- {kind}: (\w+) -->", lambda match, section=section: section(match[1]), markdown)
    return re.sub(r"^```math\n(.+?)^```$", lambda match: equation(match[1]), markdown, flags=re.DOTALL | re.MULTILINE)


def equation(latex: str) -> str:
    """Return a block of HTML with the equation as MathML."""
    from latex2mathml.converter import convert

    return f'<div class="equation">{convert(latex.strip(), display="block")}</div>'


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
        yield f"`conf/{path.parent.name}/{name}.yaml`: {text(docs.one_line_summary(path))}"
        if keys := docs.choice_keys(group, path):
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


def results(name: str) -> str:
    """Return the table of a comparison, with a link to the page of each model; nothing if there are no rows."""
    return results_table([row for row in read_results() if row["table"] == name], name, "models/")


SHOWN = {  # of which comparison scripts/make_pictures.py takes the picture of a page, and what is seen on it
    ("digits", "codes", "read_codes"): "digits",
    ("ring",): "the ring",
    ("sprites",): "sprites",
}


def figures(page: str) -> str:
    """Return a section with a model's rows in all comparisons, their commands and its picture; nothing without any."""
    rows = [row for row in read_results() if page_of(row) == page]
    names = list(dict.fromkeys(row["table"] for row in rows))
    begun = {row["table"] for row in rows if "1" in row["runs"]}
    data = next((words for tables, words in SHOWN.items() if begun & {*tables}), "the ring")
    picture = [f"![Samples of {data}, seed 1](../images/models/{page}.png)"] if has_picture(page) else []
    if not rows:
        return "".join(picture)
    tables = [results_table([row for row in rows if row["table"] == name], name, "") for name in names]
    commands = [f"ganrun train {shlex.join(row['settings'])} seed={min(row['runs'], key=int)}" for row in rows]
    heading = "## Figures\n\n[Comparison](../comparison.md) says how they were measured."
    return "\n\n".join([heading, *tables, "\n".join(["```bash", *commands, "```"]), *picture])


def has_picture(page: str) -> bool:
    """Return whether scripts/make_pictures.py has made one for this page."""
    return (PICTURES / f"{page}.png").exists()


def read_results() -> list[dict]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def page_of(row: dict) -> str:
    """Return the name of the page of a row's model."""
    model = next(setting.removeprefix("model=") for setting in row["settings"] if setting.startswith("model="))
    return PAGES.get(model, model)


def results_table(rows: list[dict], name: str, folder: str) -> str:
    """Return the table of these rows: scores at the end and, in small print, at the best checkpoint.

    Names of scores are without the extractor.  folder: of the models' pages, seen from this page.
    """
    if not rows:
        return ""
    scores = list(dict.fromkeys(score for row in rows for run in row["runs"].values() for score in run["last"]))
    names = [text(score.removeprefix("val/").removesuffix("_lenet")) for score in scores]
    titles = [name, *names, "seeds", "kimg"]
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)]]
    for row in rows:
        runs = [*row["runs"].values()]
        cells = [
            score_cell(*([run[when][score] for run in runs if score in run[when]] for when in WHEN)) for score in scores
        ]
        cells += [str(len(runs)), f"{runs[0]['kimg']:.0f}"]
        lines.append([f"[{text(row['row'])}]({folder}{page_of(row)}.md)", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def score_cell(last: list[float], best: list[float]) -> str:
    """Return mean and deviation over seeds, and the mean of the best; empty if a model has no such score."""
    if not last:
        return ""
    deviation = f" ± {stdev(last):.2g}" if len(last) > 1 else ""
    at_best = f"<br><small>best {mean(best):.3g}</small>" if len(best) == len(last) else ""
    return f"{mean(last):.3g}{deviation}{at_best}"


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


SECTIONS: dict[str, Callable[[str], str]] = {
    "settings": settings,
    "choices": choices,
    "results": results,
    "figures": figures,
}
