"""The formats of an exported model: how its programs are written to files."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ganrun.errors import UserError
from ganrun.files import replace_text
from ganrun.models.base import Adversarial
from ganrun.training.export.graphs import fold_constants, plain_module
from ganrun.training.export.loading import network_prefixes
from ganrun.training.export.openers import SOURCE, WEIGHTS
from ganrun.training.export.programs import ModelProgram, weights_of
from ganrun.training.export.torch_source import write_source

OPSET = 18
AXES = {0: "n", 2: "height", 3: "width"}  # names in ONNX files of the axes that may have any length


class ExportFormat(NamedTuple):
    """How programs become files.

    write: (programs, model, title, folder) -> fills the folder.
    packages: that writing needs besides ganrun's own.
    """

    write: Callable[[list[ModelProgram], Adversarial, str, Path], None]
    packages: tuple[str, ...]


def write_safetensors(programs: list[ModelProgram], model: Adversarial, title: str, folder: Path) -> None:
    """Write the weights, and the operations on them as Python code."""
    from safetensors.torch import save

    weights = exported_weights(programs, model)
    # its save_file makes a file that others may not read
    (folder / WEIGHTS).write_bytes(save({name: tensor.contiguous().clone() for name, tensor in weights.items()}))
    replace_text(folder / SOURCE, write_source(programs, title))


def exported_weights(programs: list[ModelProgram], model: Adversarial) -> dict[str, Tensor]:
    """Return the tensors that the programs use, and all others of the same networks, by their names in the model."""
    used = dict(pair for program in programs for pair in weights_of(program).values())
    prefixes = tuple(prefix for prefix in network_prefixes(model) if any(name.startswith(prefix) for name in used))
    state = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    return {name: value for name, value in state.items() if name.startswith(prefixes)} | used


def write_torchscript(programs: list[ModelProgram], model: Adversarial, title: str, folder: Path) -> None:
    for program in programs:
        # torch.jit is deprecated, and still what programs in C++ and on phones load
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(plain_module(program), program.examples, check_trace=False)
            torch.jit.save(traced, folder / f"{program.name}.pt")


def write_onnx(programs: list[ModelProgram], model: Adversarial, title: str, folder: Path) -> None:
    for program in programs:
        named = tuple({axis: AXES[axis] for axis in axes} for axes in program.dynamic)
        with quiet_exporter():
            exported, module, shapes = program.exported, plain_module(program), (named,)
            if fold_constants(module):  # ONNX has no matrix factorization, for example
                dynamic = tuple(program.dynamic)
                exported = torch.export.export(module, program.examples, dynamic_shapes=dynamic, strict=False)
                shapes = named
            torch.onnx.export(
                exported,
                (),
                folder / f"{program.name}.onnx",
                input_names=[each.name for each in program.inputs],
                output_names=["samples"],
                opset_version=OPSET,
                dynamic_shapes=shapes,
                dynamo=True,
                external_data=False,
                verbose=False,
            )


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep torch's ONNX exporter from reporting what does not concern the user, and name what ONNX does not have."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    except torch.onnx.errors.OnnxExporterError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise UserError(
            f"The model cannot be exported as format=onnx ({str(cause).splitlines()[0]}). "
            "Use format=safetensors or format=torchscript."
        ) from error
    finally:
        logger.setLevel(before)


FORMATS = {
    "safetensors": ExportFormat(write_safetensors, ()),
    "torchscript": ExportFormat(write_torchscript, ()),
    "onnx": ExportFormat(write_onnx, ("onnx", "onnxscript", "onnxruntime")),
}
