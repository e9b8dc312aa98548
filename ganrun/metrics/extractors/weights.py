"""Weights of the extractors: find, download, check and load them."""

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ganrun.data.download import retrieve
from ganrun.data.tensor_files import check_archive, check_extent, check_safetensors
from ganrun.errors import UserError
from ganrun.files import cache_dir, open_regular, sha256_of_file, user_path

log = logging.getLogger(__name__)
MAX_BYTES = 400_000_000  # of a weight file; Inception's has 96 million
OTHERS = "Or use other scores: metrics=lenet for digits, or metrics=none to train without scores."


def resolve_weights(weights: str | Path) -> Path:
    """Return the file that `metrics.weights` names. Raises UserError if it does not exist."""
    path = user_path(weights)
    if not path.is_file():
        advice = "Give an existing weight file, or remove the setting."
        raise UserError(f"metrics.weights={weights}: there is no such file. {advice}")
    return path


class PublishedWeights(NamedTuple):
    """A weight file that everybody uses, so that scores compare.

    file: its name in the folder of downloads.   digest: its SHA-256.
    network, megabytes: what it is and how large.   scores: those that are published with it, in words.
    """

    file: str
    url: str
    digest: str
    network: str
    megabytes: int
    scores: str

    @property
    def path(self) -> Path:
        """Its place in the cache folder."""
        return cache_dir() / "downloads" / self.file


INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION = PublishedWeights(
    INCEPTION_FILE,
    f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION_FILE}",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "Inception",
    96,
    "FID and IS",
)


def find_weights(published: PublishedWeights) -> Path:
    """Return the file in the cache folder; download it if needed. Raises UserError if it is damaged or unreachable."""
    path = published.path
    try:
        if not path.is_file():
            names = published.network, published.megabytes, published.url
            log.info("Downloading the %s weights (%d MB) from %s", *names)
            retrieve(published.url, published.digest, path, progressbar=True)
    except Exception as error:  # requests, urllib3, pooch and the file system raise many types
        raise UserError(
            f"{published.scores}: the {published.network} weights could not be downloaded ({type(error).__name__}). "
            f"Download {published.url} on another machine and put it at {path}, or pass metrics.weights=PATH. {OTHERS}"
        ) from error
    if sha256_of_file(path) != published.digest:
        raise UserError(
            f"{path} is damaged: its SHA-256 does not begin with {published.digest[:8]}. "
            f"Delete it and start again to download it, or pass metrics.weights=PATH. {OTHERS}"
        )
    return path


def load_tensors(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Tensor]:
    """Load the tensors of a .safetensors file or of a state dict saved by torch.save. Raises UserError if damaged.

    max_bytes: larger files are refused.
    """
    try:
        if path.suffix == ".safetensors":
            check_safetensors(path, max_bytes)
            return load_file(path)
        with open_regular(path, max_bytes, follow_links=True) as file:
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
    refuse_mismatches(path, network, mismatches)
    network.load_state_dict(loaded, strict=False)
    return sha256_of_file(path)


def refuse_mismatches(path: Path, network: nn.Module, mismatches: Mapping[str, list[str]]) -> None:
    """Raise UserError if a file is of another network.  mismatches: the names of tensors by what is wrong with them."""
    if wrong := [f"{len(keys)} {kind} (first: {keys[0]})" for kind, keys in mismatches.items() if keys]:
        count = len(drop_batch_counters(network.state_dict()))
        raise UserError(
            f"{path} does not fit {type(network).__name__}: of {count} tensors {', '.join(wrong)}. "
            f"Pass the right file as metrics.weights=PATH, or remove that setting. {OTHERS}"
        )
