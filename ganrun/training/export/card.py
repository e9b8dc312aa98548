"""The score card of an exported model, for programs (card.json) and for people (README.md)."""

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ganrun.config.relative_paths import PATHS
from ganrun.data.keys import keys_taken, kinds_needed
from ganrun.errors import printable
from ganrun.files import sha256_of_file
from ganrun.metrics.scores.declarations import better_direction, comparable_protocol
from ganrun.training.class_labels import is_named, number_classes
from ganrun.training.export.card_file import CARD, README, VERSION
from ganrun.training.export.formats import OPSET
from ganrun.training.export.programs import CHECKED, ModelProgram, format_axes
from ganrun.training.export.script import Script
from ganrun.training.inference import TrainedModel
from ganrun.training.run_folder import package_versions

TOLERANCE = 1e-4  # of the largest difference between an exported program and the model, on CHECKED samples
# What the model and its scores do not depend on, and what says where it was trained
LEFT_OUT = ("callbacks", "logger", "more_loggers", "folder", "started_in", "init_from", "parent", "resume", "dry_run")
DRAWN = {
    "normal": "normal numbers, mean 0, deviation 1",
    "uniform": "uniform numbers from 0 to 1",
    "integers": "integers from {low} to below {high}",
    "choice": "integers 0, 1, ..., drawn with the shares in card.json",
    "label": "class numbers from 0 to below {classes}",
    "picture": "images in [-1, 1]",
}


def describe_export(
    trained: TrainedModel, programs: list[ModelProgram], form: str, license_text: str | None, difference: float
) -> dict[str, Any]:
    """Return the card, without the files. difference: the largest between the exported programs and the model."""
    scores, protocol = trained.scoring
    described = [
        {"name": each.name, "inputs": [one.describe() for one in each.inputs], "output": each.output_shape}
        for each in programs
    ]
    return {
        **{"bundle": VERSION, "title": export_title(trained), "kimg": trained.kimg},
        **{name: trained.choices.get(name, "") for name in ("model", "data")},
        **{"format": form, "opset": OPSET if form == "onnx" else None, "license": license_text},
        **{"kind": trained.data.kind, "classes": [*trained.class_names], "programs": described},
        **{"averaged_weights": bool(trained.model.averaged), "takes": [*keys_taken(trained.model)]},
        **{"needs": kinds_needed(trained.model.needs), "scores": scores, "protocol": protocol},
        "check": {"samples": CHECKED, "largest_difference": difference, "allowed": TOLERANCE},
        "checkpoint": dict(trained.card["checkpoint"]) if trained.card else describe_checkpoint(trained.path),
        **{"fingerprint": trained.fingerprint, "choices": dict(trained.choices), "versions": package_versions()},
        "config": shared_config(trained),
    }


def export_title(trained: TrainedModel) -> str:
    """Return what the files of a bundle are headed. A stranger's run may have any name, and scripts have the title."""
    title = f"{trained.choices.get('model')} on {trained.choices.get('data')}"
    return re.sub(r"[^\w +.-]", "_", title)[:200]


def describe_checkpoint(path: Path) -> dict[str, str]:
    return {"name": path.name, "sha256": sha256_of_file(path)}


def shared_config(trained: TrainedModel) -> dict[str, Any]:
    """Return the config that the model is rebuilt from, without the paths of this machine."""
    config = OmegaConf.create({key: trained.config[key] for key in trained.config if key not in LEFT_OUT})
    for place in PATHS:
        if OmegaConf.select(config, place) is not None:
            OmegaConf.update(config, place, None)
    content = OmegaConf.to_container(config, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def hash_files(folder: Path) -> dict[str, str]:
    """Return {name: SHA-256} of all files of a bundle but its card and README.md."""
    names = sorted(path.name for path in folder.iterdir() if path.name not in (CARD, README))
    return {name: sha256_of_file(folder / name) for name in names}


def write_readme(card: Mapping[str, Any], script: Script, has_picture: bool) -> str:
    """Return the card as Markdown, with the front matter that the Hugging Face hub reads."""
    *others, last = script.packages
    needs = f"{', '.join(others)} and {last}" if others else last
    parts = [
        f"---\nlicense: {yaml_text(card['license'])}\ntags: [gan, ganrun]\n---" if card["license"] else "",
        f"# {card['title']}",
        f"{describe_weights(card)}, exported as {describe_format(card)}.",
        "![samples](preview.png)" if has_picture else "",
        f"## Use\n\nIt needs {needs}, and no ganrun:\n\n```\npython {script.name} {script.arguments}\n```",
        "## Inputs\n\n" + "\n\n".join(inputs_table(each, card["classes"]) for each in card["programs"]),
        "## Scores\n\n" + scores_table(card["scores"], card["protocol"]),
        f"## License\n\n{cell(card['license'] or '') or 'None is stated: ask the author before you use it.'}",
        "## Files\n\n| file | SHA-256 |\n|---|---|\n" + "\n".join(f"| {n} | {d} |" for n, d in card["files"].items()),
        "`card.json` has all of this for programs, and the whole config of the training.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def cell(value: Any) -> str:
    """Return a value as text of a table in Markdown: what a stranger's run says is no code."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return html.escape(printable(" ".join(text.split()))).replace("|", "\\|").replace("`", "'")


def yaml_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def describe_weights(card: Mapping[str, Any]) -> str:
    kind = "The averaged weights" if card["averaged_weights"] else "The weights"
    what = f"model={cell(card['model'])}, trained on data={cell(card['data'])}"
    return f"{kind} of {what} for {card['kimg']:g} thousand examples"


def describe_format(card: Mapping[str, Any]) -> str:
    """Return the format, and how exactly it computes what the model does."""
    opset = f" (opset {card['opset']})" if card["opset"] else ""
    check = card["check"]
    return (
        f"{card['format']}{opset}. On {check['samples']} samples it differs from the model by "
        f"{check['largest_difference']:.1g} at most"
    )


def inputs_table(program: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Return the inputs and the output of a program as a table."""
    rows = [f"| {program['name']} | type | shape | what |", "|---|---|---|---|"]
    for one in program["inputs"]:
        what = DRAWN.get(one["kind"], f"{one['kind']}, as in the training data").format(**{"classes": "", **one})
        what += f": {cell(number_classes(classes))}" if "classes" in one and is_named(classes) else ""
        what += f"; sides: multiples of {one['multiple']}" if "multiple" in one else ""
        rows.append(f"| {one['name']} | {one['dtype']} | {format_axes(one['shape'])} | {what} |")
    return "\n".join([*rows, f"| output | | {format_axes(program['output'])} | |"])


def scores_table(scores: Mapping[str, float], protocol: Mapping[str, Any]) -> str:
    """Return the scores of the training as a table, and the protocol that they share."""
    if not scores:
        return "This checkpoint was not scored. To score it: `ganrun eval FOLDER`."
    rows = [f"| {cell(name)} | {value:.4g} | {better_direction(name)} |" for name, value in scores.items()]
    shared = {
        key: value for key, value in protocol.items() if all(key in comparable_protocol(n, protocol) for n in scores)
    }
    how = "; ".join(f"{cell(key)}: {cell(value)}" for key, value in shared.items())
    return "\n".join(["| score | value | better |", "|---|---|---|", *rows, "", f"Protocol: {how}."])
