"""What one can change on the page of `ganrun play`, and the samples that follow."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from ganrun.cli.look.numbered import Numbered
from ganrun.cli.look.traversal import own_directions
from ganrun.data.images import encode_png, enlarge, to_pillow
from ganrun.errors import UserError
from ganrun.networks.codes import Code, LatentCodes
from ganrun.training.inference import TrainedModel
from ganrun.training.latents import check_takes_latents

COLUMNS = 4
CLASSES_SHOWN = 1000
LARGEST_SEED = 9999
CODE, DIRECTION = 2.0, 5.0  # how far sliders go, to both sides; a direction is a unit vector


@dataclass(frozen=True)
class Control:
    """A slider, or a choice among names, whose value is their number.

    low, high, step: of the slider.  value: at first.  choices: empty for a slider.
    """

    name: str
    label: str
    low: float
    high: float
    step: float
    value: float
    choices: tuple[str, ...] = ()

    def admits(self, value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high and (not self.choices or value == int(value))


class Playground:
    """A model whose samples follow from the values of controls. Several threads may draw.

    n: samples of a picture.  directions: principal directions at most.  Raises UserError for a model without latents.
    """

    def __init__(self, trained: TrainedModel, n: int, directions: int):
        check_takes_latents(trained, "play")
        if trained.data.kind != "picture":
            raise UserError(f"play needs a model of images, and {trained.data.name} has {trained.data.kind}.")
        self.trained, self.n, self.lock = trained, n, Lock()
        self.samples = Numbered(trained, trained.latents(n), trained.conditions(n), "samples")
        self.codes: LatentCodes | None = getattr(trained.model, "codes", None)
        self.directions = find_directions(self.samples)[:directions]
        sliders = [*code_controls(self.codes or {}), *direction_controls(len(self.directions))]
        self.controls = {control.name: control for control in [seed_control(), *class_controls(trained), *sliders]}

    def describe(self) -> list[dict[str, Any]]:
        """Return the controls as JSON has them."""
        return [asdict(control) for control in self.controls.values()]

    def is_valid(self, values: Mapping[str, Any]) -> bool:
        """Return whether these are values of the controls; those that are left out have their first ones."""
        return all(name in self.controls and self.controls[name].admits(value) for name, value in values.items())

    def draw(self, values: Mapping[str, float]) -> bytes:
        """Return the samples of these values as a PNG file."""
        value = {name: control.value for name, control in self.controls.items()} | dict(values)
        z = self.trained.latents(self.n, int(value["seed"]))
        for name, columns in (self.codes.split(z) if self.codes else {}).items():
            chosen, size = value[f"code {name}"], columns.shape[1]
            if size == 1 or chosen:
                columns.copy_(torch.eye(size)[int(chosen) - 1] if size > 1 else torch.tensor(chosen))
        steps = torch.tensor([value[f"direction {number}"] for number in range(len(self.directions))], dtype=z.dtype)
        z = z + steps @ self.directions if len(steps) else z
        with self.lock:  # the networks are put into evaluation mode and back
            x = self.trained.decode(z, self.conditions(value))
        return encode_png(enlarge(to_pillow(self.trained.data.draw(x, COLUMNS))))

    def conditions(self, value: Mapping[str, float]) -> dict[str, Tensor]:
        """Return what the model takes besides z for each sample: the chosen class, else as in `ganrun sample`."""
        conditions, chosen = self.samples.conditions, int(value.get("class", 0)) - 1  # 0 is all classes
        return conditions if chosen < 0 else {**conditions, "y": torch.full((self.n,), chosen)}


def find_directions(samples: Numbered) -> Tensor:
    """Return the principal directions of the generator, [k, z_dim]; none where its first layer has none."""
    try:
        return own_directions(samples)
    except UserError:
        return samples.z[:0]


def seed_control() -> Control:
    return Control("seed", "seed", 0, LARGEST_SEED, 1, 0)


def class_controls(trained: TrainedModel) -> list[Control]:
    """Return the choice of a class, for models that take one; 0 stands for all classes in turn."""
    if trained.labels(1, None) is None:
        return []
    count: int = getattr(trained.model, "classes")  # noqa: B009  a LightningModule's attributes have no types
    names = [*trained.class_names] if len(trained.class_names) == count else [*map(str, range(count))]
    shown = ("all in turn", *names[:CLASSES_SHOWN])
    return [Control("class", "class", 0, len(shown) - 1, 1, 0, shown)]


def code_controls(codes: Mapping[str, Code]) -> list[Control]:
    """Return a control for each code: a choice of its values, of which the first is what was drawn, or a slider."""
    controls = []
    for name, code in codes.items():
        if code.size > 1:
            choices = ("drawn", *map(str, range(code.size)))
            controls.append(Control(f"code {name}", f"code {name}", 0, code.size, 1, 0, choices))
        else:
            controls.append(Control(f"code {name}", f"code {name}", -CODE, CODE, 0.1, 0))
    return controls


def direction_controls(count: int) -> list[Control]:
    return [
        Control(f"direction {number}", f"direction {number}", -DIRECTION, DIRECTION, 0.25, 0) for number in range(count)
    ]
