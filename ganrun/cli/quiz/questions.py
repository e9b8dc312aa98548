"""The pictures of a quiz: real and generated ones that differ in nothing but what they show."""

import secrets
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganrun import seeds
from ganrun.cli.quiz.answers import GENERATED, MAX_PICTURES, REAL, AnswerSheet
from ganrun.data.images import encode_png, to_pillow, to_uint8
from ganrun.data.keys import MIRRORED, Key, keys_taken
from ganrun.errors import UserError, ganrun_command
from ganrun.training.inference import TrainedModel


@dataclass(frozen=True)
class Question:
    """A picture to judge.

    token: its name on the page, random.  kind: what it is.  png: its file.
    index: of a real picture, or of the one that was translated, in the test split; of a sample, among the samples.
    """

    token: str
    kind: str
    index: int
    png: bytes


def check_picture_count(n: int) -> None:
    """Raise UserError if n pictures cannot be half real and half generated, or are too many for a file of answers."""
    if n % 2 or n > MAX_PICTURES:
        near = min(n + n % 2, MAX_PICTURES)
        raise UserError(
            f"n must be an even number from 2 to {MAX_PICTURES}, as half of the pictures are real, got {n}. "
            f"Use n={near}."
        )


def draw_questions(trained: TrainedModel, sheet: AnswerSheet) -> list[Question]:
    """Return the pictures that a sheet asks for, in random order: a function of its seed and number.

    Raises UserError for a model that generates no images, and for fewer real images than are needed.
    """
    half, seed = sheet.pictures // 2, seeds.hash_integers(sheet.seed, sheet.number)
    stream = seeds.generator(seed, half)
    name, key = key_to_show(trained, sheet.to)
    real = choose_test_images(trained, name, half, stream)
    if sheet.to:
        made = choose_test_images(trained, "a" if sheet.to == "b" else "b", half, stream)
        fakes = trained.translate(trained.data.test("a" if sheet.to == "b" else "b", made), sheet.to)
    else:
        made, fakes = torch.arange(half), sample_like_data(trained, half, seed)
    pngs = encode_images(torch.cat([trained.data.test(name, real).to(fakes), fakes]), key)
    kinds, indices = [REAL] * half + [GENERATED] * half, torch.cat([real, made]).tolist()
    order = torch.randperm(sheet.pictures, generator=stream).tolist()
    return [Question(secrets.token_hex(16), kinds[i], indices[i], pngs[i]) for i in order]


def key_to_show(trained: TrainedModel, to: str | None) -> tuple[str, Key]:
    """Return the name and key of the real examples. UserError if they are no images."""
    data = trained.data
    name = to or next(iter(data.keys))
    if data.keys[name].kind not in MIRRORED:
        raise UserError(
            f"{trained.choices['model']} on {trained.choices['data']} generates {data.keys[name].kind}, and a quiz "
            f"needs images. To look at its samples: {ganrun_command('sample', trained.run_dir)}"
        )
    return name, data.keys[name]


def target_domain(trained: TrainedModel, to: str) -> str | None:
    """Return the domain whose real images are shown beside translations to it; None for a model that draws samples."""
    if hasattr(trained.model, "sample"):
        return None
    trained.translator(to)
    return to.lower()


def choose_test_images(trained: TrainedModel, name: str, count: int, stream: torch.Generator) -> Tensor:
    """Return the indices of random examples of the test split, all different: int64 [count]."""
    data = trained.data
    total = data.test_count(name)
    if count > total:
        raise UserError(
            f"n={2 * count} needs {count} real images, but the {data.test_split} split of data={data.name} has "
            f"{total}. Use n={2 * total} or less."
        )
    return torch.randperm(total, generator=stream)[:count]


def sample_like_data(trained: TrainedModel, count: int, seed: int) -> Tensor:
    """Return samples whose classes, if the model has some, have the proportions of the data."""
    taken = keys_taken(trained.model)
    conditions: dict[str, Any] = {**trained.data.conditions(count, taken)} if taken else {}
    return trained.sample(count, seed=seed, show_progress=True, **conditions)


def encode_images(x: Tensor, key: Key) -> list[bytes]:
    """Return examples of a key as PNG files, which hold pixels and nothing else."""
    images = to_uint8(key.to_picture(x))
    if images.shape[1] not in (1, 3):
        raise UserError(f"A quiz shows images of 1 channel (grey) or 3 (colour), and these have {images.shape[1]}.")
    return [encode_png(to_pillow(image)) for image in images]
