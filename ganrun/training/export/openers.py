"""Runs the programs in the files of an exported model. The files are code: open only those that are trusted."""

import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganrun.errors import UserError

WEIGHTS, SOURCE = "weights.safetensors", "network.py"
PROGRAM_FILES = {"torchscript": "pt", "onnx": "onnx"}  # suffix of the file of a program, per format
CONSTANT = "constant."  # begins the names of tensors in WEIGHTS that are no weights of the model
RunProgram = Callable[..., Tensor]


def open_source(folder: Path, name: str) -> RunProgram:
    """Return the function of a bundle's own Python code. This runs the code."""
    from safetensors.torch import load_file

    namespace: dict[str, Any] = {}
    exec(compile((folder / SOURCE).read_bytes(), str(folder / SOURCE), "exec"), namespace)  # leaves no __pycache__
    return partial(namespace[name], load_file(folder / WEIGHTS))


def open_torchscript(folder: Path, name: str) -> RunProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.jit.load(folder / f"{name}.pt", map_location="cpu")
    return lambda *inputs: program(*inputs)  # not the module itself, which the model would move to a GPU


def open_onnx(folder: Path, name: str) -> RunProgram:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run_session(*inputs: Tensor) -> Tensor:
        values = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, values)[0])

    return run_session


OPENERS: dict[str, Callable[[Path, str], RunProgram]] = {  # per format: (folder, name of a program) -> the program
    "safetensors": open_source,
    "torchscript": open_torchscript,
    "onnx": open_onnx,
}


def require_packages(packages: tuple[str, ...], purpose: str) -> None:
    """Raise UserError if one of the packages is not installed."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise UserError(f"{purpose} needs {', '.join(missing)}. Install: pip install 'ganrun[export]'")
