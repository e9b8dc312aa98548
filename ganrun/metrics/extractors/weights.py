"""Weights of the scoring networks: where they come from and how they are checked."""

import hashlib
import logging
from pathlib import Path

import pooch
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ganrun.errors import UserError
from ganrun.paths import cache_dir

log = logging.getLogger(__name__)

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION_FILE}"
INCEPTION_DIGEST = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
OTHERS = "Or take other scores: metrics=lenet for digits; a training does without any by metrics=none."


def digest_of(path: Path) -> str:
    """sha256 of a file's bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def resolve_weights(weights: str | Path) -> Path:
    """The file that `metrics.weights=` names. Raises UserError when there is none."""
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UserError(
            f"metrics.weights={weights}: there is no such file. Name an existing weight file, or leave it out."
        )
    return path


def find_inception() -> Path:
    """The file of the 2015-12-05 weights in the cache folder, downloaded when it is not there yet."""
    path = cache_dir() / "downloads" / INCEPTION_FILE
    if not path.is_file():
        download_inception(path)
    if digest_of(path) != INCEPTION_DIGEST:
        raise UserError(
            f"{path} is damaged: its sha256 does not begin with {INCEPTION_DIGEST[:8]}, as its name promises. "
            f"Delete it and start again: it is downloaded anew. Or pass metrics.weights=PATH. {OTHERS}"
        )
    return path


def download_inception(path: Path) -> None:
    """Fetch the weights to `path`. Raises UserError when they cannot be had."""
    log.info("Downloading the Inception weights for FID (96 MB) from %s", INCEPTION_URL)
    try:
        pooch.retrieve(INCEPTION_URL, INCEPTION_DIGEST, fname=path.name, path=path.parent, progressbar=True)
    except Exception as error:  # requests, urllib3, pooch and the file system each have their own kinds
        raise UserError(
            f"FID needs the Inception weights, and they could not be downloaded ({type(error).__name__}). "
            f"Download {INCEPTION_URL} elsewhere and put it at {path}, or pass metrics.weights=PATH. "
            f"{OTHERS}"
        ) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a state dict that torch.save wrote. Raises UserError when damaged."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # damaged files raise OSError, EOFError, KeyError, RuntimeError, UnpicklingError ...
        raise UserError(
            f"{path} cannot be read as a weight file ({type(error).__name__}): it is damaged, or of another kind. "
            f"Download it again, or pass metrics.weights=PATH. {OTHERS}"
        ) from error


def drop_batch_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without BatchNorm's batch counters, which older weight files lack and scoring does not read."""
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def weight_mismatches(expected: dict[str, Tensor], found: dict[str, Tensor]) -> list[str]:
    """What is wrong with the keys and shapes of `found`, a clause for each kind of mistake, with its first case."""
    kinds = {
        "missing": [key for key in expected if key not in found],
        "unknown": [key for key in found if key not in expected],
        "of another shape": [
            key for key in expected if key in found and getattr(found[key], "shape", None) != expected[key].shape
        ],
    }
    return [f"{len(keys)} {kind} (first: {keys[0]})" for kind, keys in kinds.items() if keys]


def load_weights(network: nn.Module, path: Path) -> str:
    """Load a file into the network; the file's sha256. Raises UserError when the file is not of this network."""
    found, expected = drop_batch_counters(load_tensors(path)), drop_batch_counters(network.state_dict())
    wrong = weight_mismatches(expected, found)
    if wrong:
        raise UserError(
            f"{path} holds no weights of {type(network).__name__}: of {len(expected)} tensors {', '.join(wrong)}. "
            f"Pass the right file as metrics.weights=PATH, or leave that out. {OTHERS}"
        )
    network.load_state_dict(found, strict=False)
    return digest_of(path)
