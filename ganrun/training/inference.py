"""A trained model, loaded from its checkpoint."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import lcm, prod
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from ganrun import seeds
from ganrun.config import build, free_memory, trust
from ganrun.config.json_forms import nan_for_null
from ganrun.config.relative_paths import anchor_paths
from ganrun.data.keys import keys_taken
from ganrun.data.module import DataModule
from ganrun.errors import UserError, ganrun_command
from ganrun.metrics.sampling import draw_samples
from ganrun.models.base import Adversarial
from ganrun.networks.sizes import pad_to_multiple
from ganrun.terminal import progress_bar
from ganrun.training import checkpoint
from ganrun.training.class_labels import ClassLabels, class_weights, label_numbers
from ganrun.training.export.card_file import CARD, find_bundle
from ganrun.training.export.loading import check_no_choice, open_programs, read_bundle, restore_exported
from ganrun.training.export.openers import PROGRAM_FILES
from ganrun.training.metric_lines import split_metrics

log = logging.getLogger(__name__)
COPIES = 3  # of samples in memory: single batches, all of them, and what is written


@dataclass
class TrainedModel:
    """A model as it was saved after `kimg` thousand images, in evaluation mode on its device.

    path: the checkpoint file.   config: of the training, resolved.   choices: the choice in each config group.
    class_names: in the order of their numbers; empty if the checkpoint is of version 0.1 and the data do not tell.
    fingerprint: of the training's data; None if the checkpoint has none.
    card: of an exported model, whose `path` is its card; None for a run.
    """

    path: Path
    config: DictConfig
    model: Adversarial
    data: DataModule
    kimg: float
    choices: dict[str, str]
    class_names: Sequence[str] = ()
    fingerprint: str | None = None
    card: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<{self.choices['model']} on {self.choices['data']} after {self.kimg:g} kimg, {self.path}>"

    @property
    def scores(self) -> dict[str, float]:
        """The scores that the training computed for this checkpoint; empty if it computed none."""
        return self.scoring[0]

    @cached_property
    def scoring(self) -> tuple[dict[str, float], dict[str, Any]]:
        """The scores that the training computed for this checkpoint, and their protocol; both empty if it did not."""
        if self.card is not None:
            return nan_for_null(self.card.get("scores", {})), dict(self.card.get("protocol", {}))
        lines = split_metrics(self.run_dir / "metrics.jsonl")
        scored = [line for _, kimg, line in lines if line is not None and "protocol" in line and kimg == self.kimg]
        line = scored[-1] if scored else {}
        return {name: value for name, value in line.items() if name.startswith("val/")}, line.get("protocol", {})

    @property
    def generators(self) -> dict[str, nn.Module]:
        """The networks that samples come from, averaged where the training kept an average; CycleGAN has two."""
        return {name: self.model.net(name) for name in self.model.averages}

    @property
    def generator(self) -> nn.Module:
        """The only generator. Raises UserError for a model with several."""
        if len(self.generators) != 1:
            raise UserError(f"{self} has several generators: use generators[NAME] with {' or '.join(self.generators)}.")
        return next(iter(self.generators.values()))

    def sample(
        self,
        n: int,
        y: ClassLabels = None,
        seed: int = 0,
        batch_size: int = 500,
        show_progress: bool = False,
        z: Tensor | None = None,
        **given,
    ) -> Tensor:
        """Draw n samples: float32 on the CPU, images [n, C, H, W] in [-1, 1] or points [n, 2].

        y: a class, by number or name, or several that are taken in turn (None: all classes); for models with classes.
        Weights of the classes, float [k, classes], give what lies between them, where the generator takes such.
        given: what else the model takes, {key: [n, ...]} as in a batch; keys left out are of training examples.
        z: latents [n, z_dim] instead of drawn ones, as `latents` returns them.
        The same seed and batch_size give the same samples on every device.
        Raises UserError for a class that the model does not have, and if it draws no samples.
        """
        if not hasattr(self.model, "sample"):
            command = ganrun_command("translate", self.run_dir, "input=FOLDER")
            ability = f"translates and draws no samples: {command}" if hasattr(self.model, "translate") else ""
            raise UserError(f"{self.choices['model']} {ability or 'draws no samples.'}")
        self.check_count(n)
        conditions, generator = {**self.conditions(n, y, given), **given}, seeds.generator(seed)
        if z is not None:
            return self.decode(z[:n], conditions, batch_size, show_progress)
        samples, batches = [], torch.arange(n).split(batch_size)
        for index in progress_bar(batches, "sampling") if show_progress else batches:
            part = {key: value[index] for key, value in conditions.items()}
            samples.append(draw_samples(self.model, len(index), generator, part).float().cpu())
        return torch.cat(samples)

    def decode(
        self, z: Tensor, conditions: Mapping[str, Tensor], batch_size: int = 500, show_progress: bool = False
    ) -> Tensor:
        """Return the examples of latents z [n, z_dim], each with its conditions {key: [n, ...]}: as `sample` does."""
        model: Any = self.model
        parts, batches = [], torch.arange(len(z)).split(batch_size)
        for index in progress_bar(batches, "sampling") if show_progress else batches:
            own = [conditions[key][index].to(model.device) for key in keys_taken(model)]
            parts.append(model.decode(z[index].to(model.some_weight), *own).float().cpu())
        return torch.cat(parts)

    def latents(self, n: int, seed: int = 0, batch_size: int = 500) -> Tensor:
        """Return the latents of the samples that `sample` draws with the same values: [n, z_dim] on the CPU."""
        model: Any = self.model
        sizes, generator = [min(batch_size, n - start) for start in range(0, n, batch_size)], seeds.generator(seed)
        return torch.cat([model.noise(size, generator).float().cpu() for size in sizes])

    def conditions(self, n: int, y: ClassLabels = None, given: Collection[str] = ()) -> dict[str, Tensor]:
        """What the model takes for n samples, {key: [n, ...]}: classes, or training examples if it takes more.

        y: as in `sample`.   given: keys to leave out.
        """
        taken = [key for key in keys_taken(self.model) if key not in given]
        if y is None and taken != ["y"]:
            return self.data.conditions(n, taken) if taken else {}
        labels, rest = self.labels(n, y), [key for key in taken if key != "y"]
        return {**(self.data.conditions(n, rest) if rest else {}), **({} if labels is None else {"y": labels})}

    def check_count(self, n: int) -> None:
        """Raise UserError if n samples do not fit into memory, where they are joined and then written."""
        each, free = 4 * COPIES * prod(self.data.shape), free_memory.free_main_memory()
        if free is not None and n * each > free:
            raise UserError(
                f"n={n} samples take {n * each / 2**20:,.0f} MiB of memory, and {free / 2**20:,.0f} MiB are free. Draw "
                f"them in parts, with other seeds: n={10 ** (len(str(free // each)) - 1)} seed=1."
            )

    def labels(self, n: int, y: ClassLabels) -> Tensor | None:
        """The classes of n samples, taken in turn: int64 [n]; None for models without classes.

        Of weights y [k, classes], float32 [n, classes], where the generator takes such.
        """
        if "y" not in keys_taken(self.model):
            if y is not None:
                raise UserError(f"{self.choices['model']} has no classes. Leave the classes out, or train model=cgan.")
            return None
        count: int = getattr(self.model, "classes")  # noqa: B009  a LightningModule's attributes have no types
        if not isinstance(y, Tensor) or y.ndim < 2:
            return label_numbers(n, y, count, self.class_names)
        if not self.takes_class_weights:
            raise UserError(f"The generator of {self.choices['model']} takes whole classes only, no weights of them.")
        return class_weights(n, y, count)

    @property
    def takes_class_weights(self) -> bool:
        """Whether y may be weights of the classes, [n, classes], for samples between them."""
        return all(getattr(net, "takes_class_weights", False) for net in self.generators.values())

    def translate(self, x: Tensor, to: str, batch_size: int = 8) -> Tensor:
        """Translate images [n, C, H, W] in [-1, 1] to domain `to`, "a" or "b": the same shape, on the CPU.

        H and W may be any if the networks take them, as CycleGAN's do: see `size_multiple`.
        Raises UserError if the model does not translate, or if the images do not have its shape.
        """
        translate, (channels, *sides) = self.translator(to), self.data.shape
        multiple = self.size_multiple
        takes_size = x.ndim == 4 and (multiple or [*x.shape[2:]] == sides)
        if not takes_size or x.shape[1] != channels:
            height, width = ("H", "W") if multiple else sides
            raise UserError(f"The images must be [n, {channels}, {height}, {width}], got {[*x.shape]}.")
        padded, (height, width) = pad_to_multiple(x, multiple) if multiple else x, x.shape[2:]
        parts = [translate(batch)[:, :, :height, :width].float().cpu() for batch in padded.split(batch_size)]
        return torch.cat(parts)

    @property
    def size_multiple(self) -> int | None:
        """What the sides of images to translate must be multiples of: `translate` pads them, and crops the result back.

        None for networks that do not say so by an attribute `multiple`: they take the size of the training only.
        """
        multiples: list[Any] = [getattr(net, "multiple", None) for net in self.generators.values()]
        return lcm(*multiples) if multiples and None not in multiples else None

    def translator(self, to: str) -> Callable[[Tensor], Tensor]:
        """The model's own `translate` to a domain. Raises UserError if it does not translate to it."""
        translate = getattr(self.model, "translate", None)
        if translate is None:
            advice = f": {ganrun_command('sample', self.run_dir)}" if hasattr(self.model, "sample") else "."
            raise UserError(f"{self.choices['model']} does not translate{advice}")
        domain = str(to).lower()
        if domain not in ("a", "b"):
            raise UserError(f"to={to} is not a domain of the model. Allowed: to=a, to=b.")
        return partial(translate, to=domain)

    @property
    def run_dir(self) -> Path:
        """The run folder that holds the checkpoint, or the folder of the exported model."""
        return self.path.parent if self.card is not None else self.path.parent.parent


def load_trained_model(command: DictConfig) -> TrainedModel:
    """Load the model that a command names by `run` and `which`, to its `device`. An exported model is a run, too."""
    is_trusted, bundle = bool(command.get("trust")), find_bundle(command.run)
    if bundle:
        check_no_choice(bundle, command.which)
        path, content = bundle / CARD, read_bundle(bundle, is_trusted)
    else:
        path = checkpoint.find_checkpoint(command.run, command.which, is_trusted, uses_registry=True)
        content = checkpoint.load_checkpoint(path)
    kimg, choices = content["seen"]["images"] / 1000, content["ganrun"]["choices"]
    cfg = trust.open_saved_config(content["ganrun"]["config"], path, is_trusted, without="callbacks")
    with trust.explain_unusable_settings(path):
        take_moved_root(anchor_paths(cfg), command, choices)
        data = build.build_data(cfg)
        model = restore_model(cfg, data, content, path)
    log.info("%s of %s, after %g kimg", choices.get("model"), path, kimg)
    names = content["ganrun"].get("classes") or data.source.classes
    model, fingerprint = model.to(select_device(command.device)).eval(), content["ganrun"].get("data")
    return TrainedModel(path, cfg, model, data, kimg, choices, names, fingerprint, content.get("card"))


def restore_model(cfg: DictConfig, data: DataModule, content: Mapping[str, Any], path: Path) -> Any:
    """Return the model of a checkpoint, or of the bundle whose card is at `path`, with its weights."""
    card = content.get("card")
    if card and card["format"] in PROGRAM_FILES:
        return open_programs(path.parent, card)
    model = build.build_model(cfg, data)
    if card:
        restore_exported(model, path.parent, content)
    else:
        checkpoint.restore_weights(model, content, path)
    return model


def take_moved_root(cfg: DictConfig, command: DictConfig, choices: Mapping[str, str]) -> None:
    """Set data.root of a run's config to the one that the command gives, if it chooses no other data."""
    if names_other_data(command) or command.get("data") is None:
        return
    if "root" not in cfg.data:
        raise UserError(f"data={choices.get('data')} reads no files of yours. Leave data.root out.")
    cfg.data.root = command.data.root


def names_other_data(command: DictConfig) -> bool:
    """Whether the command chooses data of its own, by data=NAME, not only the folder of the run's data."""
    return "_target_" in (command.get("data") or ())


def select_device(name: str) -> torch.device:
    """Return the device of that name; auto is a GPU if there is one. Raises UserError if it is not available."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if not available.get(name):
        allowed = ", ".join(kind for kind, is_available in available.items() if is_available)
        raise UserError(f"device={name} is not available. Allowed: auto, {allowed}.")
    return torch.device(name)


def data_for(trained: TrainedModel, command: DictConfig) -> DataModule:
    """Return the data that the command names, else the data of the training."""
    if not names_other_data(command):
        return trained.data
    cfg = OmegaConf.create({"data": command.data, "batch_size": 1, "seed": trained.config.seed})
    return build.build_data(cfg)
