"""Loads a model from a bundle: rebuilt from its config and weights, or by running its programs if it is trusted."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ganrun.errors import UntrustedError, UserError
from ganrun.models.base import Adversarial
from ganrun.training.export.card_file import CARD, check_file, read_card
from ganrun.training.export.openers import CONSTANT, OPENERS, PROGRAM_FILES, WEIGHTS, require_packages
from ganrun.training.export.program_model import ExportedModel, ExportedSampler, ExportedTranslator

KINDS_OF_CODE = {"torchscript": "a TorchScript program", "onnx": "an ONNX program"}


def read_bundle(folder: Path, trust: bool) -> dict[str, Any]:
    """Return what a bundle holds in the form of a checkpoint, and its card.

    Raises UserError if it is damaged; UntrustedError for programs, unless they are trusted.
    """
    card = read_card(folder, trust)
    if card["format"] not in OPENERS or not card["programs"]:
        raise UserError(f"{folder / CARD} names format={card['format']}. Readable are {', '.join(OPENERS)}.")
    if card["format"] in KINDS_OF_CODE and not trust:
        what = f"{folder} holds {KINDS_OF_CODE[card['format']]}, and running it runs its code"
        raise UntrustedError(f"{what}; a bundle of format=safetensors needs no trust. If it is yours or you trust it")
    metadata = {"config": card["config"], "choices": card["choices"], "classes": card["classes"]}
    images = round(1000 * card["kimg"])
    return {
        "card": card,
        "ganrun": {**metadata, "data": card.get("fingerprint")},
        "seen": {"images": images, "batches": 0, "progress": 1.0, "steps": {}, "images_at_step": {}},
    }


def check_no_choice(folder: Path, which: str) -> None:
    """Raise UserError for a checkpoint that is chosen of a bundle, which has the weights of one."""
    if which != "last":
        raise UserError(f"which={which} has no effect on {folder}, which holds one exported model. Leave it out.")


def open_programs(folder: Path, card: Mapping[str, Any]) -> ExportedModel:
    """Return a model that runs the programs of a bundle. This runs code: the bundle must be trusted."""
    require_packages(("onnxruntime",) if card["format"] == "onnx" else (), f"{folder} with format={card['format']}")
    for program in card["programs"]:
        check_file(folder, dict(card), f"{program['name']}.{PROGRAM_FILES[card['format']]}")
    kind = ExportedTranslator if any("_to_" in program["name"] for program in card["programs"]) else ExportedSampler
    try:
        return kind(folder, card)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"The programs in {folder} cannot be opened ({reason}). Export the run again.") from error


def restore_exported(model: Adversarial, folder: Path, content: Mapping[str, Any]) -> None:
    """Load the weights of a bundle into a model that was built from its config.

    What needs a network that is not in the bundle, such as encode, is None then.
    Raises UserError if they do not fit, or are not all weights of the networks that samples come from.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = check_file(folder, content["card"], WEIGHTS)
    model.configure_model()
    model.on_load_checkpoint(dict(content))
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
    saved = {name: value for name, value in weights.items() if not name.startswith(CONSTANT)}
    try:
        missing, unknown = model.load_state_dict(saved, strict=False)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"The weights in {path} do not fit the networks of the card's config: {reason}") from error
    prefixes = [prefix for prefix in network_prefixes(model) if any(name.startswith(prefix) for name in saved)]
    lost = [name for name in missing if name.startswith(tuple(prefixes))]
    if unknown or lost or not prefixes:
        wrong = f"{unknown[0]} belongs to none of them" if unknown else f"{lost[0] if lost else 'all'} is missing"
        raise UserError(f"The weights in {path} do not fit the networks of the card's config: {wrong}.")
    drop_abilities(model, saved)


def drop_abilities(model: Adversarial, saved: Collection[str]) -> None:
    """Set those methods of a model to None whose networks are not among the saved weights."""
    encoder = getattr(model, "encoder_name", "encoder")
    for ability, network in (("encode", encoder), ("reconstruct", encoder), ("recognize", "discriminator")):
        if hasattr(model, ability) and not any(
            name.startswith((f"{network}.", f"averaged.{network}.")) for name in saved
        ):
            setattr(model, ability, None)


def network_prefixes(model: Adversarial) -> list[str]:
    """Return what the names of the weights of each network that samples come from begin with."""
    return [f"averaged.{name}." if name in model.averaged else f"{name}." for name in model.averages]
