"""Samples that a user picks by their numbers."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from omegaconf import DictConfig, ListConfig
from torch import Tensor

from ganrun.config.value_types import format_setting_value
from ganrun.errors import UserError
from ganrun.metrics.base import has_ability
from ganrun.networks.conditional import one_hot
from ganrun.networks.latent_paths import Way, along_noise, gaussian_numbers, straight
from ganrun.training.inference import TrainedModel
from ganrun.training.latents import check_takes_latents, read_latents

SHOWN = 64  # samples that have numbers, as in the grid of `ganrun sample`
FIRST_OF = re.compile(r"seed:(\d{1,9})")  # a sample that is named by its seed
OF_CLASS = re.compile(r"class:(.+)")  # the first sample with another class


class PickedSample(NamedTuple):
    """A latent z [1, z_dim], and what else the sample is made of, {key: [1, ...]}."""

    z: Tensor
    conditions: dict[str, Tensor]


@dataclass
class Numbered:
    """The samples with the numbers 0, 1, ... of the grid that `ganrun sample` draws, or of the file of z=.

    z: [n, z_dim].  conditions: what each was made of besides z, {key: [n, ...]}.
    """

    trained: TrainedModel
    z: Tensor
    conditions: dict[str, Tensor]
    place: str

    @classmethod
    def read(cls, cfg: DictConfig, trained: TrainedModel, setting: str) -> "Numbered":
        """Return the samples that a command names. Raises UserError for a model whose samples have no latents."""
        if not is_autoencoder(trained):
            check_takes_latents(trained, setting)
        classes = [*cfg.classes] if isinstance(cfg.classes, ListConfig) else cfg.classes
        if cfg.z is not None:
            z, others = read_latents(cfg.z, trained)
            classes = others.get("y") if classes is None else classes
            return cls(trained, z, trained.conditions(len(z), classes), f"samples of {cfg.z}")
        conditions = trained.conditions(SHOWN, classes)
        if not is_autoencoder(trained):
            return cls(trained, trained.latents(SHOWN, cfg.seed), conditions, "samples")
        model: Any = trained.model
        z = model.encode(trained.data.test("x", SHOWN).to(model.some_weight)).float().cpu()
        return cls(trained, z, conditions, "test images")

    def pick(self, which: Any, setting: str) -> PickedSample:
        """Return a sample by its number. In a path also the first one of "seed:N", or with the class of "class:C"."""
        name, is_path = which if isinstance(which, str) else "", setting.startswith("path")
        has_seeds = is_path and not is_autoencoder(self.trained)
        first = {key: value[:1] for key, value in self.conditions.items()}
        if has_seeds and (match := FIRST_OF.fullmatch(name)):
            return PickedSample(self.trained.latents(1, int(match[1])), first)
        if is_path and (match := OF_CLASS.fullmatch(name)):
            label = int(match[1]) if match[1].isdecimal() else match[1]
            return PickedSample(self.z[:1], first | self.of_class(label))
        if isinstance(which, bool) or not isinstance(which, int) or not 0 <= which < len(self.z):
            classes = ", or class:C for the first one with another class" if "y" in self.conditions else ""
            others = f", or seed:N for the first sample of that seed{classes}" if has_seeds else ""
            raise UserError(
                f"{setting}: {format_setting_value(which)} is none of the {self.place}. Give their numbers, 0 to "
                f"{len(self.z) - 1} in the order of the grid{others}."
            )
        return PickedSample(
            self.z[which : which + 1], {key: value[which : which + 1] for key, value in self.conditions.items()}
        )

    def of_class(self, label: int | str) -> dict[str, Tensor]:
        """Return the condition of one sample of a class, in the form that the others have: a label, or weights."""
        found, model = self.trained.conditions(1, label), self.trained.model
        like, count = self.conditions["y"], getattr(model, "classes")  # noqa: B009  a LightningModule's attributes have no types
        return {"y": one_hot(found["y"], count, like) if like.ndim == 2 else found["y"]}

    def decode(self, z: Tensor, conditions: dict[str, Tensor]) -> Tensor:
        """Return the examples of latents [n, z_dim] with the conditions of one sample: [n, ...], on the CPU."""
        same = {key: value.expand(len(z), *value.shape[1:]) for key, value in conditions.items()}
        return self.trained.decode(z, same)

    def way(self) -> tuple[Way, str]:
        """Return the way that suits the noise of the model, in words too. An autoencoder has no noise: straight."""
        if is_autoencoder(self.trained):
            return straight, "along lines"
        drawn = self.trained.latents(SHOWN, 0)
        count, all_of_them = int(gaussian_numbers(drawn).sum()), drawn.shape[1]
        words = {0: "along lines", all_of_them: "along the sphere"}
        return along_noise(drawn), words.get(count, "codes along lines, the rest along the sphere")


def is_autoencoder(trained: TrainedModel) -> bool:
    """Return whether a model has codes of examples, but draws none."""
    model = trained.model
    return has_ability(model, "encode") and has_ability(model, "decode") and not has_ability(model, "noise")
