"""Decode many image files into one array, on all CPUs, with a progress bar."""

import logging
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import BadImageError
from ganrun.errors import UserError, did_you_mean
from ganrun.paths import cpu_count
from ganrun.terminal import progress_bar

log = logging.getLogger(__name__)
BLOCK = 32
BAD_IMAGES = ("raise", "skip")
Decode = Callable[[Path], np.ndarray]


def check_bad_images(choice: str) -> None:
    if choice not in BAD_IMAGES:
        raise UserError(f"Unknown data.bad_images={choice}.{did_you_mean(str(choice), BAD_IMAGES)}")


def decode_all(
    store: CacheWriter,
    split: str,
    key: str,
    paths: list[Path],
    shape: tuple[int, int, int],
    decode: Decode,
    bad_images: str,
) -> tuple[list[int], list[str]]:
    """Decode all images into a new array of the store; return the indices kept and, for those skipped, the reasons.

    bad_images: raise (a UserError that names the file) or skip.
    """
    array = store.new(split, key, (len(paths), *shape))
    reasons: dict[int, str] = {}
    with closing(_decode_blocks(paths, decode, array, f"preparing {split} {key}")) as blocks:
        for failed in blocks:
            reasons.update(failed)
            if failed and bad_images == "raise":
                raise UserError(
                    f"Cannot decode {next(iter(failed.values()))}. Repair or remove the file, "
                    "or skip such files with data.bad_images=skip."
                )
    kept = [i for i in range(len(paths)) if i not in reasons]
    if not kept:
        raise UserError(f"None of the {len(paths)} images could be decoded. The first one: {reasons[0]}.")
    array.flush()
    if reasons:
        store.keep_rows(split, key, kept)
    return kept, [reasons[i] for i in sorted(reasons)]


def _decode_blocks(
    paths: list[Path], decode: Decode, array: np.ndarray, title: str
) -> Generator[dict[int, str], None, None]:
    """Fill the array; yield the failures of each block of files as {index: reason}."""

    def fill(start: int) -> dict[int, str]:
        failed = {}
        for i in range(start, min(start + BLOCK, len(paths))):
            try:
                array[i] = decode(paths[i])
            except BadImageError as error:
                failed[i] = str(error)
        return failed

    pool = ThreadPoolExecutor(cpu_count())  # Pillow releases the GIL
    try:
        yield from progress_bar(pool.map(fill, range(0, len(paths), BLOCK)), title, -(-len(paths) // BLOCK))
    finally:
        pool.shutdown(cancel_futures=True)
