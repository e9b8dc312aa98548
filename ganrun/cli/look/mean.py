"""Sums and differences of averaged latents."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganrun import seeds
from ganrun.cli.look.extractor import extractor_of
from ganrun.cli.look.numbered import Numbered
from ganrun.cli.look.view import View
from ganrun.data.images import to_uint8
from ganrun.errors import UserError
from ganrun.metrics.base import has_ability
from ganrun.training.class_labels import class_number, is_named, number_classes
from ganrun.training.inference import TrainedModel

TERM = re.compile(r"([+-]?)\s*([^+-]+)")
SAMPLE = re.compile(r"s(\d{1,9})")
SHOWN, NEARBY = 8, 0.25  # pictures beside that of a mean, and how far from the result they are drawn
MOST_DRAWN = 20_000  # samples among which those of a class are looked for
BATCH = 250


class Term(NamedTuple):
    """What is added (sign 1) or subtracted (-1): the mean of latents [n, z_dim], those of a class or of a sample."""

    sign: int
    name: str
    z: Tensor


def show_mean(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return a row for each term of mean=: the example of its mean, and those of its latents; below, the result.

    Radford et al. 2016, section 6.3.2: the result is shown with others, up to 0.25 away in each number.
    """
    setting = f"mean={cfg['mean']}"
    samples = Numbered.read(cfg, trained, setting)
    if samples.conditions:
        raise UserError(
            f"{setting} needs a model whose latents alone make its samples, and {trained.choices['model']} also takes "
            f"{', '.join(samples.conditions)}. Use path= or code=, for example path=[0,10] classes=3"
        )
    terms = [read_term(sign, name.strip(), samples, cfg, setting) for sign, name in split_terms(str(cfg["mean"]))]
    means = torch.stack([term.z.mean(0) for term in terms])
    result = torch.tensor([float(term.sign) for term in terms]) @ means
    rows = [
        samples.decode(torch.cat([mean[None], term.z[:SHOWN]]), {}) for term, mean in zip(terms, means, strict=True)
    ]
    rows = [torch.cat([row, row.new_zeros(1 + SHOWN - len(row), *row.shape[1:])]) for row in rows]
    near = NEARBY * (2 * torch.rand(SHOWN, len(means[0]), generator=seeds.generator(cfg.seed)) - 1)
    rows.append(samples.decode(torch.cat([result[None], result + near]), {}))
    counts = ", ".join(f"{len(term.z)} of {term.name}" for term in terms)
    caption = f"{cfg['mean']}: the mean of each term beside some of its own (examples: {counts}); last, the result"
    return [View(f"mean-{cfg['mean']}", caption, [trained.data.draw(torch.cat(rows), 1 + SHOWN)])]


def split_terms(text: str) -> list[tuple[int, str]]:
    """Return the signs and names of a sum such as 8-3+5. Raises UserError for another text."""
    found = [*TERM.finditer(text)]
    if not found or "".join(match[0] for match in found) != text or any(not match[1] for match in found[1:]):
        raise UserError(f"mean={text} must be a sum of classes, such as 8-3+5, or of samples by number, such as s8-s3.")
    return [(-1 if match[1] == "-" else 1, match[2]) for match in found]


def read_term(sign: int, name: str, samples: Numbered, cfg: DictConfig, setting: str) -> Term:
    """Return the latents of a class, or of the sample s3."""
    if match := SAMPLE.fullmatch(name):
        return Term(sign, name, samples.pick(int(match[1]), setting)[0])
    trained = samples.trained
    model: Any = trained.model
    data = trained.data
    if has_ability(model, "encode") and "y" in data.gives:
        wanted = known_class(name, [*data.classes], setting)
        index = (data.test("y") == wanted).nonzero()[: cfg.of, 0]
        if not len(index):
            raise UserError(f"{setting}: no test image has the class {name}.")
        x = data.test("x", index).to(model.some_weight)
        return Term(sign, name, torch.cat([model.encode(part).float().cpu() for part in x.split(BATCH)]))
    return Term(sign, name, latents_named(name, samples, cfg, setting))


def latents_named(name: str, samples: Numbered, cfg: DictConfig, setting: str) -> Tensor:
    """Return latents of samples that the extractor takes for a class: [of, z_dim]."""
    trained, extractor = samples.trained, extractor_of(samples.trained)
    if extractor is None or not extractor.classes:
        raise UserError(
            f"{setting}: what class a sample of {trained.choices['model']} shows is not known here. Pick samples by "
            "their numbers: mean=s8-s3+s5"
        )
    wanted, found = known_class(name, extractor.classes, setting), []
    for number in range(MOST_DRAWN // BATCH):
        z = trained.latents(BATCH, cfg.seed + 1 + number)
        seen = extractor(to_uint8(samples.decode(z, {})).to(trained.model.device))[1].argmax(1)
        found.append(z[(seen == wanted).cpu()])
        if sum(map(len, found)) >= cfg.of:
            break
    z = torch.cat(found)[: cfg.of]
    if not len(z):
        raise UserError(f"{setting}: none of {MOST_DRAWN:,} samples was taken for {name}.")
    return z


def known_class(name: str, classes: Sequence[str], setting: str) -> int:
    """Return the number of a class that is given by its name, or by its number. Raises UserError for another one."""
    number = class_number(int(name) if name.isdecimal() else name, len(classes), classes)
    if not isinstance(number, int) or number >= len(classes):
        known = number_classes(classes) if is_named(classes) else f"0 to {len(classes) - 1}"
        raise UserError(f"{setting}: there is no class {name}. There are {known}; samples by number are s0, s1, ...")
    return number
