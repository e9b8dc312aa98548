"""ganrun export: writes a trained model as a folder that works without ganrun."""

import shlex
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganrun.errors import UserError, did_you_mean, ganrun_command
from ganrun.terminal import PlainConsole
from ganrun.training.export.bundle import write_bundle
from ganrun.training.export.formats import FORMATS
from ganrun.training.export.openers import PROGRAM_FILES, require_packages
from ganrun.training.inference import load_trained_model
from ganrun.training.run_folder import check_new_folder, make_run_folder


def run(cfg: DictConfig, folder: Path) -> None:
    """Write the bundle, as a whole or not at all."""
    if cfg.format not in FORMATS:
        raise UserError(f"Unknown format={cfg.format}.{did_you_mean(str(cfg.format), FORMATS)}")
    require_packages(FORMATS[cfg.format].packages, f"format={cfg.format}")
    out = check_new_folder(Path(cfg.out or folder), "out")
    command = {"run": cfg.run, "which": cfg.which, "trust": cfg.trust, "device": "cpu"}
    trained = load_trained_model(OmegaConf.create(command))
    if trained.card and trained.card["format"] in PROGRAM_FILES:
        raise UserError(
            f"{cfg.run} is exported as format={trained.card['format']} already, and only its programs are there. "
            "Export the run that it came from."
        )
    cards: list[dict] = []
    license_text = None if cfg.license is None else str(cfg.license)
    out = make_run_folder(
        out, lambda partial: cards.append(write_bundle(trained, cfg.format, license_text, partial)), "out"
    )
    report_bundle(out, cards[0], bool(cfg.trust))


def report_bundle(out: Path, card: dict, is_trusted: bool) -> None:
    """Print what was written, how exact it is, and what to do with it."""
    check = card["check"]
    lines = {
        "bundle": f"{out}   ({', '.join(card['files'])})",
        "weights": f"{'moving average' if card['averaged_weights'] else 'not averaged'}, after {card['kimg']:g} kimg",
        "checked": f"{check['samples']} samples differ from the model's by {check['largest_difference']:.1g} at most",
        "license": card["license"] or "none stated; state one with license=TEXT",
        "next": "   or   ".join(advise_commands(out, card, is_trusted)),
    }
    PlainConsole(soft_wrap=True).print(
        *(f"{name:<10}{text}" for name, text in lines.items()), sep="\n", highlight=False
    )


def advise_commands(out: Path, card: dict, is_trusted: bool) -> list[str]:
    """Return how to use the bundle without ganrun, and with it. is_trusted: whether the run needed trust."""
    is_translator = "translate.py" in card["files"]
    script = "translate.py" if is_translator else "sample.py"
    alone = shlex.join(["python", str(out / script)]) + (" IMAGE NEW.png a_to_b" if is_translator else "")
    trust = ["trust=true"] if is_trusted or card["format"] in PROGRAM_FILES else []
    if (card["config"].get("metrics") or {}).get("_target_"):
        return [alone, ganrun_command("eval", out, *trust)]
    verb = ("translate", out, "input=IMAGE") if is_translator else ("sample", out)
    return [alone, ganrun_command(*verb, *trust)]
