"""Weights of the extractors: find, download, check and load them."""

import logging
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ganrun.data.download import retrieve
from ganrun.data.tensor_files import check_archive, check_extent, check_safetensors
from ganrun.errors import UserError
from ganrun.files import cache_dir, open_regular, sha256_of_file, user_path

log = logging.getLogger(__name__)
MAX_BYTES = 400_000_000  # of a weight file; Inception's has 96 million
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION_FILE}"
INCEPTION_DIGEST = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
OTHERS = "Or use other scores: metrics=lenet for digits, or metrics=none to train without scores."


def resolve_weights(weights: str | Path) -> Path:
    """Return the file that `metrics.weights` names. Raises UserError if it does not exist."""
    path = user_path(weights)
    if not path.is_file():
        advice = "Give an existing weight file, or remove the setting."
        raise UserError(f"metrics.weights={weights}: there is no such file. {advice}")
    return path


def inception_path() -> Path:
    """Return the place of the 2015-12-05 weights in the cache folder."""
    return cache_dir() / "downloads" / INCEPTION_FILE


def find_inception() -> Path:
    """Return the file of the 2015-12-05 weights in the cache folder; download it if needed."""
    path = inception_path()
    try:
        if not path.is_file():
            log.info("Downloading the Inception weights for FID (96 MB) from %s", INCEPTION_URL)
            retrieve(INCEPTION_URL, INCEPTION_DIGEST, path, progressbar=True)
    except Exception as error:  # requests, urllib3, pooch and the file system raise many types
        raise UserError(
            f"FID needs the Inception weights, and they could not be downloaded ({type(error).__name__}). "
            f"Download {INCEPTION_URL} on another machine and put it at {path}, or pass metrics.weights=PATH. {OTHERS}"
        ) from error
    if sha256_of_file(path) != INCEPTION_DIGEST:
        raise UserError(
            f"{path} is damaged: its SHA-256 does not begin with {INCEPTION_DIGEST[:8]}. "
            f"Delete it and start again to download it, or pass metrics.weights=PATH. {OTHERS}"
        )
    return path


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Load the tensors of a .safetensors file or of a state dict saved by torch.save. Raises UserError if damaged."""
    try:
        if path.suffix == ".safetensors":
            check_safetensors(path, MAX_BYTES)
            return load_file(path)
        with open_regular(path, MAX_BYTES, follow_links=True) as file:
            if zipfile.is_zipfile(file):  # torch's older format is none
                check_archive(file)
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_extent(content, path.stat().st_size)
        return dict(content)
    except Exception as error:  # damaged files raise OSError, EOFError, KeyError, RuntimeError, UnpicklingError ...
        raise UserError(
            f"{path} cannot be read as a weight file ({type(error).__name__}): it is damaged or has another format. "
            f"Download it again, or pass metrics.weights=PATH. {OTHERS}"
        ) from error


def drop_batch_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove BatchNorm's batch counters, which older weight files lack and scoring does not use."""
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def load_weights(network: nn.Module, path: Path) -> str:
    """Load a file into the network and return the file's SHA-256. Raises UserError if it is of another network."""
    loaded, expected = drop_batch_counters(load_tensors(path)), drop_batch_counters(network.state_dict())
    shared = [key for key in expected if key in loaded]
    mismatches = {
        "missing": [key for key in expected if key not in loaded],
        "unknown": [key for key in loaded if key not in expected],
        "of another shape": [key for key in shared if getattr(loaded[key], "shape", None) != expected[key].shape],
    }
    if wrong := [f"{len(keys)} {kind} (first: {keys[0]})" for kind, keys in mismatches.items() if keys]:
        raise UserError(
            f"{path} does not fit {type(network).__name__}: of {len(expected)} tensors {', '.join(wrong)}. "
            f"Pass the right file as metrics.weights=PATH, or remove that setting. {OTHERS}"
        )
    network.load_state_dict(loaded, strict=False)
    return sha256_of_file(path)
