"""The lines of a metrics.jsonl: what they may hold, and how they are read. Needs no torch."""

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from ganrun.config.json_forms import is_amount, is_shallow, is_text, nan_for_null, parse_form
from ganrun.files import UnsafeFileError, open_regular
from ganrun.training.run_folder import SCORES

log = logging.getLogger(__name__)
MAX_METRICS, MAX_LINE = 2**35, 2**18  # bytes of a metrics.jsonl and of a line in it: months with log_every=1
MAX_SCORINGS = 10**6  # lines of a metrics.jsonl that are more than a reading of the curves
# A reading of the loss curves, with its kimg: a flat line, while scores have a protocol. Most lines are only copied
CURVES = re.compile(rb'\{(?:"time": [\d.e+-]+, )?"kimg": ([\d.e+-]+)(?:, "[^{}\[\]]*)?\}\n')
LINE_FORM = {
    **{"kimg": is_amount, "protocol": {str: is_shallow}, "best": SCORES, "last": SCORES, str: is_shallow},
    **{"diagnosis": {str: is_text}, "verdict": {str: is_text}},  # verdict: of version 0.1
}


def read_metric_lines(path: Path) -> Iterator[dict]:
    """Yield the lines of a metrics.jsonl, parsed; see `split_metrics`."""
    for text, _, line in split_metrics(path):
        with suppress(ValueError):
            yield parse_line(text) if line is None else line


def split_metrics(path: Path) -> Iterator[tuple[bytes, float, dict | None]]:
    """Yield (text, kimg, content) of each line of a metrics.jsonl. The content is None for a reading of the curves.

    A long training has millions of those, and parsing takes ten times as long as reading. Leaves out a line that a
    crash has truncated and any that ganrun does not write. Raises UnsafeFileError for anything but a regular file, and
    for more scores than the longest trainings have.
    """
    damaged = scorings = 0
    with open_regular(path, MAX_METRICS, follow_links=True) if path.exists() else BytesIO() as file:
        for text in iter(lambda: file.readline(MAX_LINE), b""):
            if (kimg := kimg_of_curves(text)) is not None:
                yield text, kimg, None
                continue
            scorings += 1
            if scorings > MAX_SCORINGS:
                raise UnsafeFileError(f"{path} has more than {MAX_SCORINGS:,} scores. Move it to another folder.")
            try:
                line = parse_line(text)
            except ValueError:
                damaged += 1
            else:
                yield text, line["kimg"], line
    if damaged:
        log.info("%s: ignoring %d damaged lines", path, damaged)


def kimg_of_curves(text: bytes) -> float | None:
    """Return the kimg of a reading of the curves, None if the line is something else."""
    if match := CURVES.fullmatch(text):
        with suppress(ValueError):
            return kimg if is_amount(kimg := float(match[1])) else None
    return None


def parse_line(text: bytes) -> dict:
    """Return what a line of a metrics.jsonl holds. Raises ValueError if it is not one that ganrun writes."""
    line = nan_for_null(parse_form(text, LINE_FORM))
    if "kimg" not in line:
        raise ValueError("every line has kimg")
    return line
