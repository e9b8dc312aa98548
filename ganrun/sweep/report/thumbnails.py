"""The samples of a run as a small picture in a page."""

import base64
import re
from io import BytesIO
from pathlib import Path

from PIL import Image

from ganrun.data.decode import check_png, to_grey_or_rgb
from ganrun.files import read_bytes

MAX_PICTURE_BYTES = 2**24
MAX_KEPT_BYTES = 2**14  # a smaller picture stays the PNG that it is
MAX_SHAPE = 4  # how many times as high as wide a thumbnail may be
QUALITY = 80  # of JPEG


def thumbnail(path: Path, folder: Path, width: int) -> str:
    """Return a PNG file, at most `width` pixels wide, as the source of an image of a page.

    Raises OSError for a link, BadImageError for what is not a PNG. A picture in `folder` is not reached through a link
    below it either; one elsewhere not through that of its folder.
    """
    base = folder if path.is_relative_to(folder) else path.parent.parent
    if path.resolve() != base.resolve() / path.relative_to(base):
        raise OSError(f"{path} is reached through a link, which could show a file of yours.")
    content = read_bytes(path, MAX_PICTURE_BYTES)
    check_png(content, path)
    with Image.open(BytesIO(content), formats=["PNG"]) as image:
        if image.width <= width and len(content) <= MAX_KEPT_BYTES:
            return f"data:image/png;base64,{base64.b64encode(content).decode()}"
        image = to_grey_or_rgb(image)
        image.thumbnail((width, MAX_SHAPE * width))
    file = BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def kimg_from_name(path: Path) -> float:
    """Return the kimg in the name of a samples file, such as samples-kimg000020.000.png."""
    match = re.search(r"kimg(\d+(\.\d+)?)\.png", path.name)
    return float(match[1]) if match else 0.0
