"""Writes a bundle: the programs of a trained model, its card, and a script that runs without ganrun."""

import json
from pathlib import Path
from typing import Any

import torch

from ganrun.data.images import save_png
from ganrun.errors import Failure, UserError
from ganrun.files import replace_text, write_json
from ganrun.training.export.card import TOLERANCE, describe_export, export_title, hash_files, write_readme
from ganrun.training.export.card_file import CARD, README
from ganrun.training.export.formats import FORMATS
from ganrun.training.export.openers import OPENERS
from ganrun.training.export.programs import ModelProgram, build_programs
from ganrun.training.export.script import is_drawable, write_script
from ganrun.training.inference import TrainedModel

BATCHES = (16, 5, 1)  # numbers of examples with which a program is tried


def write_bundle(trained: TrainedModel, form: str, license_text: str | None, folder: Path) -> dict:
    """Fill the folder with the bundle, and return its card.

    Raises UserError for a model that cannot be exported in this format, and Failure if the programs do not compute
    what the model does.
    """
    trained.model.requires_grad_(False)
    programs = build_programs(trained)
    title = export_title(trained)
    FORMATS[form].write(programs, trained.model, title, folder)
    difference = max(difference_to_model(each, form, folder) for each in programs)
    script = write_script(form, programs, title)
    replace_text(folder / script.name, script.text)
    conditions = [] if programs[0].is_translation else [each for each in programs[0].inputs if each.is_condition]
    for given in conditions:
        replace_text(folder / f"{given.name}.json", json.dumps(given.examples.tolist()))
    has_picture = hasattr(trained.model, "sample") and write_preview(trained, programs[0], folder)
    card = describe_export(trained, programs, form, license_text, difference)
    card["files"] = hash_files(folder)
    write_json(folder / CARD, card)
    replace_text(folder / README, write_readme(card, script, has_picture))
    return card


@torch.no_grad()
def difference_to_model(program: ModelProgram, form: str, folder: Path) -> float:
    """Return the largest difference between a program in a file and the model.

    Raises UserError if it takes only one number of examples, and Failure if the difference is above TOLERANCE.
    """
    run, differences = OPENERS[form](folder, program.name), []
    for n in BATCHES:
        expected, result, reason = program.expected[:n], torch.empty(0), ""
        try:
            result = run(*(each[:n] for each in program.examples))
            reason = "" if result.shape == expected.shape else f"{[*result.shape]} instead of {[*expected.shape]}"
        except Exception as error:  # of torch, of TorchScript's interpreter or of onnxruntime
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        if reason:
            raise UserError(
                f"The model cannot be exported as format={form}: it takes {BATCHES[0]} samples, not {n} ({reason}). "
                "It must compute with the number of samples as x.shape[0], not as len(x)."
            )
        differences.append((result - expected).abs().max().item())
    worst, allowed = torch.tensor(differences).max().item(), TOLERANCE * max(1.0, program.expected.abs().max().item())
    if not worst <= allowed:  # or it is NaN
        raise Failure(f"As format={form}, samples differ from the model's by {worst:.2g}; allowed is {allowed:.2g}.")
    return worst


def write_preview(trained: TrainedModel, program: ModelProgram, folder: Path) -> bool:
    """Write a picture of samples, if they are images. Return whether they are."""
    if not is_drawable(program) or trained.data.kind != "picture":
        return False
    given: dict[str, Any] = {each.name: each.examples for each in program.inputs if each.is_condition}
    n = 16 if given else 64
    save_png(folder / "preview.png", trained.data.draw(trained.sample(n, **given)))
    return True
