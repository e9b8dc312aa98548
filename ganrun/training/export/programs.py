"""What a trained model computes, as programs: noise and conditions to samples, or images to images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram

from ganrun import seeds
from ganrun.data.keys import KINDS, WHOLE, Key, keys_taken
from ganrun.errors import UserError
from ganrun.metrics.sampling import draw_samples
from ganrun.models.base import Adversarial
from ganrun.training.export.draws import GivenDraws, RecordedDraws
from ganrun.training.export.openers import CONSTANT
from ganrun.training.inference import TrainedModel

CHECKED = 16  # samples on which an exported program is compared with the model
GENERATOR = "generator"  # name of the program that samples
MODEL = "model"  # attribute of the modules below: the prefix of the names of all weights


@dataclass
class ProgramInput:
    """An input of a program.

    kind: of a Draw, or of a Key.  shape: of one example, after the axis n; None for an axis of any length.
    settings: of the Draw; for labels, the number of classes.  examples: [n, *shape].
    """

    name: str
    kind: str
    shape: list[int | None]
    examples: Tensor
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def is_condition(self) -> bool:
        """Whether the user has to give it for samples: it is neither drawn nor classes, which are taken in turn."""
        return self.kind in KINDS and "classes" not in self.settings

    def describe(self) -> dict[str, Any]:
        dtype = str(self.examples.dtype).removeprefix("torch.")
        return {"name": self.name, "kind": self.kind, "shape": self.shape, "dtype": dtype, **self.settings}


@dataclass
class ModelProgram:
    """A function of tensors that the model computes.

    name: generator, or a_to_b and b_to_a.  expected: what the model returns for the examples of the inputs.
    exported: by torch.export.  dynamic: axes of each input that may have any length.
    """

    name: str
    inputs: list[ProgramInput]
    expected: Tensor
    exported: ExportedProgram
    dynamic: list[dict[int, Any]]

    @property
    def is_translation(self) -> bool:
        return self.name != GENERATOR

    @property
    def examples(self) -> tuple[Tensor, ...]:
        return tuple(each.examples for each in self.inputs)

    @property
    def output_shape(self) -> list[int | None]:
        return self.inputs[0].shape if self.is_translation else [*self.expected.shape[1:]]


class Sampling(nn.Module):
    """(drawn numbers ..., conditions ...) -> samples."""

    def __init__(self, model: Adversarial, keys: Sequence[str]):
        super().__init__()
        self.model, self.keys = model, keys

    def forward(self, *inputs: Tensor) -> Tensor:
        count = len(inputs) - len(self.keys)
        conditions = dict(zip(self.keys, inputs[count:], strict=True))
        with GivenDraws(inputs[:count], CHECKED):
            return draw_samples(self.model, inputs[0].shape[0], seeds.generator(0), conditions)


class Translating(nn.Module):
    """Images of one domain -> images of the other."""

    def __init__(self, model: Adversarial, translate: Callable[[Tensor], Tensor]):
        super().__init__()
        self.model, self.translate = model, translate

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.translate(inputs[0])


def build_programs(trained: TrainedModel) -> list[ModelProgram]:
    """Return what the model can do, by its abilities. Raises UserError if it can do nothing that can be exported."""
    with explain_unexportable(trained), torch.no_grad():
        if hasattr(trained.model, "sample"):
            return [sampling_program(trained)]
        if hasattr(trained.model, "translate"):
            return [translating_program(trained, to) for to in "ba"]
    raise UserError(
        f"model={trained.choices['model']} cannot be exported: it draws no samples and translates nothing. "
        "Exported are models that can do one of both."
    )


@contextmanager
def explain_unexportable(trained: TrainedModel) -> Iterator[None]:
    """Turn what torch.export raises for a model that it cannot follow into a UserError."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a dozen types, none of them public
        reason = next((line.strip(" -") for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"model={trained.choices['model']} cannot be exported: torch.export does not follow how it generates "
            f"({reason.partition(' For more information')[0]}). It must not branch on values, and must compute with "
            "the number of samples as x.shape[0], not as len(x)."
        ) from error


def sampling_program(trained: TrainedModel) -> ModelProgram:
    """Return the program of `sample`. Its inputs are the numbers that it draws, in their order, then the conditions."""
    model, keys = trained.model, keys_taken(trained.model)
    inputs, expected = record_inputs(trained, keys, CHECKED)
    others, _ = record_inputs(trained, keys, CHECKED + 1)
    dynamic = [*map(varying_axes, inputs, others)]
    if len(inputs) == len(keys) or any([*axes] != [0] for axes in dynamic):
        raise UserError(f"model={trained.choices['model']} cannot be exported: each sample must have noise of its own.")
    module = Sampling(model, keys)
    return export_program(GENERATOR, module, inputs, dynamic, expected)


def varying_axes(given: ProgramInput, other: ProgramInput) -> dict[int, Any]:
    """Return the axes that differ between two batches as torch.export takes them."""
    lengths = zip(given.examples.shape, other.examples.shape, strict=True)
    return {axis: Dim.DYNAMIC for axis, (one, another) in enumerate(lengths) if one != another}


def record_inputs(trained: TrainedModel, keys: Sequence[str], n: int) -> tuple[list[ProgramInput], Tensor]:
    """Return what n samples are made of, and the samples."""
    given = example_conditions(trained, keys, n)
    with RecordedDraws() as recorded:
        x = draw_samples(trained.model, n, seeds.generator(0), {each.name: each.examples for each in given})
    inputs, taken = [], {each.name for each in given}
    for draw in recorded.draws:
        letter = "z" if draw.kind in ("normal", "uniform") else "k"
        name = next(name for i in range(1, 100) if (name := f"{letter}{i if i > 1 else ''}") not in taken)
        taken.add(name)
        inputs.append(ProgramInput(name, draw.kind, [*draw.values.shape[1:]], draw.values, draw.settings))
    return inputs + given, x


def example_conditions(trained: TrainedModel, keys: Sequence[str], n: int) -> list[ProgramInput]:
    """Return conditions for n samples that need no data: the classes in turn; random numbers, zeros for integers."""
    inputs = []
    for name in keys:
        key, labels = trained.data.offered.get(name, Key("vector")), trained.labels(n, None) if name == "y" else None
        settings = {} if labels is None else {"classes": getattr(trained.model, "classes")}  # noqa: B009
        values = labels if labels is not None else key.example(n, "cpu")
        if key.kind not in WHOLE:
            values = torch.rand(values.shape, generator=seeds.generator(1)) * 2 - 1
        inputs.append(ProgramInput(name, key.kind, [*values.shape[1:]], values, settings))
    return inputs


def translating_program(trained: TrainedModel, to: str) -> ModelProgram:
    """Return the program of `translate` to a domain: of images of any size, if the networks take any."""
    shape, multiple = trained.data.shape, trained.size_multiple
    x = torch.rand(CHECKED, *shape, generator=seeds.generator(2)) * 2 - 1
    settings: dict[str, Any] = {"multiple": multiple} if multiple else {}
    described: list[int | None] = [shape[0], None, None] if multiple else [*shape]
    axes = (0, 2, 3) if multiple else (0,)
    program_input = ProgramInput("x", "picture", described, x, settings)
    name, module = f"{'a' if to == 'b' else 'b'}_to_{to}", Translating(trained.model, trained.translator(to))
    return export_program(name, module, [program_input], [dict.fromkeys(axes, Dim.DYNAMIC)], module(x))


def export_program(
    name: str, module: nn.Module, inputs: list[ProgramInput], dynamic: list[dict[int, Any]], expected: Tensor
) -> ModelProgram:
    examples = tuple(each.examples for each in inputs)
    exported = torch.export.export(module, examples, dynamic_shapes=(tuple(dynamic),), strict=False)
    if random := next(filter(is_random, exported.graph.nodes), None):
        raise UserError(
            f"The model draws random numbers by {random.target}, which cannot become an input of an exported program. "
            "Draw them by torch.randn, torch.rand, torch.randint or torch.multinomial."
        )
    return ModelProgram(name, inputs, expected, exported, dynamic)


def is_random(node: fx.Node) -> bool:
    """Return whether a node draws random numbers. Dropout in evaluation mode does not."""
    is_off = "dropout" in str(node.target) and False in node.args
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) and not is_off


def weights_of(program: ModelProgram) -> dict[str, tuple[str, Tensor]]:
    """Return the tensors that the program computes with: {placeholder: (name in the model's state dict, tensor)}.

    Tensors that are not part of the state dict are named constant.NAME.
    """
    exported, weights = program.exported, {}
    constants = {name: value for name, value in exported.constants.items() if isinstance(value, Tensor)}
    used = {node.name for node in exported.graph.nodes if node.op == "placeholder" and node.users}
    for spec in exported.graph_signature.input_specs:
        if spec.target is not None and spec.arg.name in used:
            is_saved = spec.target in exported.state_dict
            tensor = exported.state_dict[spec.target] if is_saved else constants[spec.target]
            name = spec.target.removeprefix(f"{MODEL}.")
            weights[spec.arg.name] = (name if is_saved else f"{CONSTANT}{name}", tensor.detach())
    return weights


def format_axes(shape: list[int | None]) -> str:
    """Format the shape of n examples: [n, 1, 28, 28], with "any" for a side that is not fixed."""
    return f"[{', '.join(['n', *('any' if side is None else str(side) for side in shape)])}]"
