"""ganrun translate: translates image files to the other domain of a trained model."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ganrun.cli.input_images import input_images, load_image
from ganrun.data.image_files import describe_left_out
from ganrun.data.images import make_grid, save_png, to_float, to_uint8
from ganrun.errors import Failure, UserError, is_out_of_memory
from ganrun.files import user_path
from ganrun.terminal import PlainConsole, progress_bar
from ganrun.training.inference import TrainedModel, load_trained_model
from ganrun.training.run_folder import make_run_folder

PAIRS = 32  # images shown beside their translations
LARGEST_THUMBNAIL = 256  # pixels of its longer side, or those of the training's images if these are larger
LARGEST_BATCH = 2**22  # pixels of the images translated at once, or one image


def run(cfg: DictConfig, folder: Path) -> None:
    """Translate the images at `input`; write the translations, and a grid of the first ones beside their originals."""
    source = user_path(cfg.input)
    found = input_images(cfg.input)
    paths = found.paths
    trained = load_trained_model(cfg)
    trained.translator(cfg.to)  # raises if the model cannot, before all files are read
    keeps_size = is_size_kept(trained, cfg.size)
    load = partial(load_image, trained, keeps_size)
    shapes = [tuple(load(path).shape) for path in progress_bar(paths, "reading images")]

    def write(out: Path) -> None:
        pairs = {}
        for batch in progress_bar(same_shape_batches(shapes, cfg.batch_size), "translating"):
            originals = torch.stack([load(paths[i]) for i in batch])
            translations = translate_images(trained, originals, cfg.to)
            for i, *pair in zip(batch, originals, translations, strict=True):
                save_png(out / "pictures" / names[i], pair[1].expand(3, -1, -1))
                pairs |= {i: pair} if i < PAIRS else {}
        side = max(LARGEST_THUMBNAIL, *trained.data.shape[1:])
        thumbnails = make_thumbnails([image for i in sorted(pairs) for image in pairs[i]], side)
        save_png(out / "pairs.png", make_grid(to_float(thumbnails), 8))

    names = output_paths(paths, source)
    out = make_run_folder(Path(cfg.out or folder), write, "out")
    report = (
        f"{len(paths)} images      {out / 'pictures'}",
        f"left out      {describe_left_out([found]) or 'none'}",
        f"size          {describe_sizes(trained, keeps_size, shapes)}",
        f"side by side  {out / 'pairs.png'}",
    )
    PlainConsole(soft_wrap=True).print(*report, sep="\n")


def is_size_kept(trained: TrainedModel, size: str) -> bool:
    """Return whether images are translated in their own size. UserError if they should be, but the model cannot."""
    if size == "keep" and not trained.size_multiple:
        height, width = trained.data.shape[1:]
        raise UserError(
            f"size=keep needs a model that translates images of any size, and {trained.choices['model']} translates "
            f"{height}x{width} pixels only. Use size=data."
        )
    return size != "data" and trained.size_multiple is not None


def describe_sizes(trained: TrainedModel, keeps_size: bool, shapes: Sequence[tuple[int, ...]]) -> str:
    """Return what was done to the sizes of the images. Shapes are [C, H, W]."""
    data_size = "{}x{}".format(*trained.data.shape[1:])
    if keeps_size:
        sizes = sorted({shape[1:] for shape in shapes}, key=lambda sides: (sides[0] * sides[1], sides))
        kept = " to ".join(f"{height}x{width}" for height, width in dict.fromkeys((sizes[0], sizes[-1])))
        return f"kept: {kept} (height x width); trained at {data_size}, size=data translates at that size"
    fit = trained.config.data.get("fit", "crop")
    hint = "; size=keep keeps that of the images" if trained.size_multiple else ""
    return f"{data_size} (height x width), as in the training, with data.fit={fit}{hint}"


def same_shape_batches(shapes: Sequence[tuple[int, ...]], batch_size: int) -> list[list[int]]:
    """Return the indices of the images in batches of one shape, of at most LARGEST_BATCH pixels or one image."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(i)
    batches = []
    for (_, height, width), group in groups.items():
        count = max(1, min(batch_size, LARGEST_BATCH // (height * width)))
        batches += [group[start : start + count] for start in range(0, len(group), count)]
    return batches


def translate_images(trained: TrainedModel, originals: Tensor, to: str) -> Tensor:
    """Return the translations of images, both uint8 [n, C, H, W]. Raises Failure if the memory does not suffice."""
    try:
        return to_uint8(trained.translate(to_float(originals), to, len(originals)))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        count, _, height, width = originals.shape
        fewer = "batch_size=1" if count > 1 else "size=data, which translates at the size of the training's images"
        raise Failure(
            f"The memory does not suffice to translate {count} images of {height}x{width} pixels at once. Use {fewer}, "
            "or device=cpu."
        ) from error


def make_thumbnails(images: Sequence[Tensor], side: int) -> Tensor:
    """Return uint8 images [C, H, W] with at most `side` pixels a side, centred in white ones of one size."""
    thumbnails = [reduce_image(image, side) for image in images]
    height, width = (max(image.shape[axis] for image in thumbnails) for axis in (1, 2))
    return torch.stack([pad_centred(image, height, width) for image in thumbnails])


def reduce_image(image: Tensor, side: int) -> Tensor:
    """Return a uint8 image [C, H, W] with at most `side` pixels a side, in its proportions."""
    factor = side / max(image.shape[1:])
    if factor >= 1:
        return image
    size = [max(1, round(factor * pixels)) for pixels in image.shape[1:]]
    reduced = interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
    return reduced.round().clamp(0, 255).to(torch.uint8)


def pad_centred(image: Tensor, height: int, width: int) -> Tensor:
    below, beside = height - image.shape[1], width - image.shape[2]
    margins = (beside // 2, beside - beside // 2, below // 2, below - below // 2)
    return pad(image, margins, value=255)


def output_paths(paths: list[Path], source: Path) -> list[Path]:
    """Return relative .png paths like those of the originals. Names that would clash keep their suffix: a.jpg.png."""
    relative = [path.relative_to(source) if source.is_dir() else Path(path.name) for path in paths]
    stems = Counter(path.with_suffix("") for path in relative)
    return [path.with_suffix(".png") if stems[path.with_suffix("")] == 1 else Path(f"{path}.png") for path in relative]
