"""Decode many image files into one array, on all CPUs, with a progress bar."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import BadImageError, Size, decode, height_and_width
from ganrun.errors import UserError
from ganrun.files import cpu_count
from ganrun.terminal import progress_bar

BLOCK = 32


def decode_all(
    store: CacheWriter, split: str, key: str, paths: list[Path], bad_images: str, size: Size, channels: int, **options
) -> tuple[list[int], list[str]]:
    """Decode all images into a new array of the store; return the indices kept and, for those skipped, the reasons.

    bad_images: raise (a UserError that names the file) or skip.  options: of `decode`.
    """
    array = store.new(split, key, (len(paths), channels, *height_and_width(size)))
    reasons: dict[int, str] = {}

    def decode_block(start: int) -> dict[int, str]:
        """Fill a part of the array; return {index: reason} of the files that cannot be decoded."""
        failed = {}
        for i in range(start, min(start + BLOCK, len(paths))):
            try:
                array[i] = decode(paths[i], size, channels, **options)
            except BadImageError as error:
                failed[i] = str(error)
        return failed

    pool = ThreadPoolExecutor(cpu_count())  # Pillow releases the GIL
    blocks = pool.map(decode_block, range(0, len(paths), BLOCK))
    try:
        for failed in progress_bar(blocks, f"preparing {split} {key}", -(-len(paths) // BLOCK)):
            reasons.update(failed)
            if failed and bad_images == "raise":
                raise UserError(
                    f"Cannot decode {next(iter(failed.values()))}. Repair or remove the file, "
                    "or skip such files with data.bad_images=skip."
                )
    finally:
        pool.shutdown(cancel_futures=True)
    kept = [i for i in range(len(paths)) if i not in reasons]
    if not kept:
        raise UserError(f"None of the {len(paths)} images could be decoded. The first one: {reasons[0]}.")
    array.flush()
    if reasons:
        store.keep_rows(split, key, kept)
    return kept, [reasons[i] for i in sorted(reasons)]
