"""Small or sparse files that unpack to, or claim to be, something huge."""

import struct
import zlib
from pathlib import Path

from PIL import Image

MB = 2**20
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(pwned) (w) file closefile\nshowpage\n%%EOF\n"


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def zeros(count: int) -> bytes:
    """Return `count` zero bytes, compressed by zlib."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(min(MB, count - start))) for start in range(0, count, MB)]
    return b"".join([*parts, packer.flush()])


def png_bytes(width: int, height: int, bits: int = 8, colour: int = 0, extra: bytes = b"", data: bytes | None = None):
    """Return a black PNG. colour: 0 grey, 2 RGB, 4 grey with alpha, 6 RGBA. extra: chunks before the pixels."""
    row = 1 + -(-width * bits * {0: 1, 2: 3, 4: 2, 6: 4}[colour] // 8)
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zeros(row * height) if data is None else data)
    return b"\x89PNG\r\n\x1a\n" + head + extra + pixels + png_chunk(b"IEND", b"")


def gif_bytes(width: int, height: int) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + frame + b";"


def tiff_bytes(tags: dict[int, tuple[int, int]]) -> bytes:
    """Return a little-endian TIFF of these tags: {number: (type, value)}."""
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def tiff_of(width: int, height: int, **tile: int) -> bytes:
    """Return a grey, uncompressed or tiled (tile=side) TIFF without pixels."""
    tags = {256: (4, width), 257: (4, height), 258: (3, 8), 259: (3, 1), 262: (3, 1), 277: (3, 1)}
    if tile:
        tags |= {259: (3, 8), 322: (4, tile["tile"]), 323: (4, tile["tile"]), 324: (4, 8), 325: (4, 100)}
    else:
        tags |= {273: (4, 8), 278: (4, height), 279: (4, 100)}
    return tiff_bytes(tags)


def webp_bytes(width: int, height: int) -> bytes:
    """Return an animated WebP whose canvas has this size, and whose frame is missing."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size
    return b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas


def jpeg_with_scans(path: Path, scans: int) -> None:
    """Write a progressive JPEG whose last scan comes many times."""
    Image.new("RGB", (64, 64)).save(path, progressive=True)
    content = path.read_bytes()
    last = content.rindex(b"\xff\xda")
    path.write_bytes(content[:last] + content[last:-2] * scans + content[-2:])


def sparse_file(path: Path, size: int, head: bytes = b"") -> Path:
    """A file of `size` bytes, most of which take no place on the disk."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
    return path
