"""Compare scores of two folders of pictures by pytorch-fid, clean-fid and torch-fidelity with those of `ganrun eval`.

python scripts/compare_fid.py                          random pictures and weights: 3 minutes on two cores
python scripts/compare_fid.py --folders FAKES REAL     folders of your own; one size of pictures per folder
python scripts/compare_fid.py --weights weights-inception-2015-12-05-6726825d.pth

The packages are installed without their dependencies into --packages (default: a temporary folder), beside our torch.
clean-fid's network, a TorchScript file, is replaced by torch-fidelity's with the same weights; its mode
legacy_tensorflow is left out, because its resize is part of that file. With fewer than 2,048 pictures the covariances
are singular: the packages' matrix root is then exact to a few 1e-6 only, ganrun's to 1e-12.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

ROOT = Path(__file__).parents[1]
PACKAGES = ("pytorch-fid==0.3.0", "clean-fid==0.1.35", "torch-fidelity==0.4.0")
PROTOCOLS = ("pytorch50k", "clean50k", "fidelity50k")
NEIGHBOURS = 5  # of ganrun's precision and recall
EXACT = {"fid": 1e-5, "precision": 1e-9, "recall": 1e-9}  # largest relative difference; others draw random subsets
Values = dict[tuple[str, str], float]  # by (package, score)


def install_packages(folder: Path) -> None:
    """Install the packages and the torchvision of this torch, as far as they are missing, and make them importable."""
    minor = int(torch.__version__.split(".")[1])  # torchvision 0.28 belongs to torch 2.13
    if not (folder / "torch_fidelity").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*command, *PACKAGES, f"torchvision==0.{minor + 15}.*"], check=True)
    sys.path.append(str(folder))
    try:
        import torchvision
    except RuntimeError:  # its CUDA operators beside a CPU build of torch; none is needed here
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
        import torchvision  # noqa: F401


def score_by_pytorch_fid(fakes: str, real: str, weights: str) -> Values:
    from pytorch_fid.fid_score import calculate_fid_given_paths

    state = torch.load(weights, weights_only=True)
    with patch("pytorch_fid.inception.load_state_dict_from_url", lambda *_, **__: state):
        return {("pytorch-fid", "fid"): float(calculate_fid_given_paths([fakes, real], 50, "cpu", 2048, 0))}


def score_by_torch_fidelity(fakes: str, real: str, weights: str) -> Values:
    """Kernel distance of subsets as large as the sets, as ganrun's is for up to 1,000 pictures."""
    from torch_fidelity import calculate_metrics

    count = min(1000, *(len([*Path(folder).iterdir()]) for folder in (fakes, real)))
    options = {"isc": True, "fid": True, "kid": True, "prc": True, "prc_neighborhood": NEIGHBOURS}
    options |= {"kid_subset_size": count, "feature_extractor": "inception-v3-compat"}
    options |= {"feature_extractor_weights_path": weights, "cuda": False, "cache": False, "save_cpu_ram": True}
    values = calculate_metrics(input1=fakes, input2=real, verbose=False, **options)
    names = {"fid": "frechet_inception_distance", "is": "inception_score_mean", "precision": "precision"}
    names |= {"kid": "kernel_inception_distance_mean", "recall": "recall"}
    return {("torch-fidelity", score): values[name] for score, name in names.items()}


@contextmanager
def clean_fid_weights(weights: str) -> Iterator[None]:
    """Give clean-fid's networks these weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    state = torch.load(weights, weights_only=True)
    extractor = FeatureExtractorInceptionV3("inception", ["2048"], weights)
    graph = nn.Module()
    graph.layers = nn.Sequential(*(layer for name, layer in extractor.named_children() if name != "fc"))
    with ExitStack() as stack:
        stack.enter_context(patch("cleanfid.inception_pytorch.load_state_dict_from_url", lambda *_, **__: state))
        stack.enter_context(patch("cleanfid.inception_torchscript.check_download_inception"))
        stack.enter_context(patch("torch.jit.load", lambda path: graph))
        yield


def score_by_clean_fid(fakes: str, real: str, weights: str) -> Values:
    from cleanfid.fid import compute_fid, compute_kid

    options = {"num_workers": 0, "device": torch.device("cpu"), "use_dataparallel": False, "verbose": False}
    with clean_fid_weights(weights):
        return {
            ("clean-fid legacy_pytorch", "fid"): float(compute_fid(fakes, real, mode="legacy_pytorch", **options)),
            ("clean-fid clean", "fid"): float(compute_fid(fakes, real, mode="clean", **options)),
            ("clean-fid clean", "kid"): float(compute_kid(fakes, real, mode="clean", **options)),
        }


THEIRS: tuple[Callable[[str, str, str], Values], ...] = (
    score_by_pytorch_fid,
    score_by_clean_fid,
    score_by_torch_fidelity,
)


def score_by_ganrun(fakes: str, real: str, weights: str, protocol: str, work: Path) -> dict[str, float]:
    """The scores of `ganrun eval` under a named protocol, with as many samples as there are pictures."""
    command = [sys.executable, "-m", "ganrun", "eval", "--folder", fakes, "--against", real, f"protocol={protocol}"]
    command += [f"samples={len([*Path(fakes).iterdir()])}", f"metrics.weights={weights}", "metrics.keep=1000000"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    folder = work / protocol
    folder.mkdir()
    variables = {**os.environ, "GANRUN_CACHE": str(folder / "cache"), "PYTHONPATH": path}
    subprocess.run(command, cwd=folder, env=variables, check=True, stdout=subprocess.PIPE)
    (file,) = folder.glob("outputs/eval/*/scores.json")
    return {name.removeprefix("val/"): value for name, value in json.loads(file.read_text())["scores"].items()}


def print_comparison(theirs: Values, ours: dict[str, dict[str, float]]) -> bool:
    """Print a table; return whether all scores agree that draw no random subsets."""
    protocols = dict(zip(("pytorch-fid", "clean-fid", "torch-fidelity"), PROTOCOLS, strict=True))
    protocols["clean-fid legacy_pytorch"], protocols["clean-fid clean"] = "pytorch50k", "clean50k"
    print("| package | score | its value | ganrun | by protocol= | relative difference |\n|---|---|---:|---:|---|---:|")
    agrees = True
    for (package, score), value in theirs.items():
        own = ours[protocols[package]][score]
        difference = abs(own - value) / abs(value)
        agrees &= difference <= EXACT.get(score, float("inf"))
        note = "" if score in EXACT else " (random subsets)"
        print(f"| {package} | {score} | {value:.10g} | {own:.10g} | {protocols[package]} | {difference:.1e}{note} |")
    return agrees


def make_random_inputs(work: Path, count: int) -> tuple[Path, Path, Path]:
    """Write the folders of pictures and the weight file of tests/cli/commands/test_packages.py; return them."""
    sys.path.insert(0, str(ROOT / "tests"))
    from helpers.picture_sets import write_pictures
    from helpers.weights import write_random_inception

    fakes = write_pictures(work / "fakes", count, seed=0, gain=0.9)
    return fakes, write_pictures(work / "real", count, seed=1), write_random_inception(work / "weights.pth")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", nargs=2, type=Path, metavar=("FAKES", "REAL"))
    parser.add_argument("--images", type=int, default=60, help="random pictures per folder (default: 60)")
    parser.add_argument("--weights", type=Path, help="weight file in the layout of the public one (default: random)")
    parser.add_argument("--packages", type=Path, help="folder of the installed packages (default: a temporary one)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # the packages' own
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        install_packages(options.packages or work / "packages")
        fakes, real, weights = make_random_inputs(work, options.images)
        folders = options.folders or (fakes, real)
        paths = [str(path.resolve()) for path in (*folders, options.weights or weights)]
        theirs = {key: value for score in THEIRS for key, value in score(*paths).items()}
        ours = {protocol: score_by_ganrun(*paths, protocol, work) for protocol in PROTOCOLS}
    return 0 if print_comparison(theirs, ours) else 1


if __name__ == "__main__":
    sys.exit(main())
