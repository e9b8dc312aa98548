"""All kinds of image files are decoded to the right colours and geometry."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ganrun.data.decode import BadImageError, check_image_format, decode, fit_to_size, resize_images
from ganrun.data.image_files import find_images
from ganrun.errors import UserError

RED, GREEN, BLUE = (200, 30, 60), (20, 180, 40), (10, 60, 220)


def png16(path, value, colour_type=0):
    """A 4x4 PNG of 16 bits a sample: grey (0), RGB (2) or grey with alpha (4)."""
    samples = {0: [value], 2: [value, 0, 65535], 4: [value, 65535]}[colour_type]
    row = b"\0" + struct.pack(f">{len(samples)}H", *samples) * 4

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 4, 4, 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * 4)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def save(mode, colour, suffix, **options):
    def write(folder):
        path = folder / f"picture{suffix}"
        Image.new(mode, (4, 4), colour).save(path, **options)
        return path

    return write


def palette(transparent):
    def write(folder):
        path = folder / "picture.png"
        picture = Image.new("P", (4, 4), 1)
        picture.putpalette([0, 0, 0, *RED])
        picture.save(path, **({"transparency": 1} if transparent else {}))
        return path

    return write


def deep(value, colour_type=0):
    def write(folder):
        png16(folder / "picture.png", value, colour_type)
        return folder / "picture.png"

    return write


def adobe_cmyk(folder):
    """CMYK as Photoshop writes it, (0, 255, 255, 0) being red."""
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(folder / "picture.jpg", quality=100)
    return folder / "picture.jpg"


MODES = {  # how the file is made, the colour expected, how far off it may be
    "grey": (save("L", 77, ".png"), (77, 77, 77), 0),
    "black and white": (save("1", 1, ".png"), (255, 255, 255), 0),
    "RGB": (save("RGB", RED, ".png"), RED, 0),
    "RGB jpeg": (save("RGB", RED, ".jpg", quality=100), RED, 3),
    "RGBA opaque": (save("RGBA", (*RED, 255), ".png"), RED, 0),
    "RGBA clear": (save("RGBA", (*RED, 0), ".png"), (255, 255, 255), 0),
    "RGBA half": (save("RGBA", (*RED, 128), ".png"), (227, 142, 157), 1),
    "grey with alpha": (save("LA", (0, 128), ".png"), (127, 127, 127), 1),
    "RGB with one clear colour": (save("RGB", RED, ".png", transparency=RED), (255, 255, 255), 0),
    "grey with one clear shade": (save("L", 9, ".png", transparency=9), (255, 255, 255), 0),
    "palette": (palette(False), RED, 0),
    "palette clear": (palette(True), (255, 255, 255), 0),
    "gif": (save("RGB", RED, ".gif"), RED, 0),
    "bmp": (save("RGB", RED, ".bmp"), RED, 0),
    "webp": (save("RGB", RED, ".webp", lossless=True), RED, 0),
    "tiff": (save("RGB", RED, ".tif"), RED, 0),
    "CMYK tiff": (save("CMYK", (0, 255, 255, 0), ".tif"), (255, 0, 0), 0),
    "CMYK jpeg": (adobe_cmyk, (255, 0, 0), 3),
    "16-bit grey": (deep(32896), (128, 128, 128), 0),
    "16-bit white": (deep(65535), (255, 255, 255), 0),
    "16-bit dark": (deep(257), (1, 1, 1), 0),
    "16-bit tiff": (save("I;16", 32896, ".tif"), (128, 128, 128), 0),
    "16-bit RGB": (deep(32896, 2), (128, 0, 255), 0),
    "16-bit grey with alpha": (deep(32896, 4), (128, 128, 128), 0),
}


@pytest.mark.parametrize("name", MODES)
def test_a_mode_decodes_to_its_colour(tmp_path, name):
    write, colour, tolerance = MODES[name]
    picture = decode(write(tmp_path), size=4, channels=3)
    assert picture.shape == (3, 4, 4)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - np.array(colour)[:, None, None]).max() <= tolerance


def test_one_channel_is_the_luma_of_the_colour(tmp_path):
    path = save("RGB", RED, ".png")(tmp_path)
    luma = round(0.299 * RED[0] + 0.587 * RED[1] + 0.114 * RED[2])
    assert abs(int(decode(path, size=4, channels=1)[0, 2, 2]) - luma) <= 1


def corners(width=4, height=4):
    """Return an image with red at the upper left, green at the upper right, blue and white below."""
    pixels = np.full((height, width, 3), 255, dtype=np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    return Image.fromarray(pixels)


TURNS = {  # EXIF orientation: what a camera did to the upright picture
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_rotated_photograph_is_turned_upright(tmp_path, orientation, suffix):
    turn = TURNS[orientation]
    stored = corners(32, 32) if turn is None else corners(32, 32).transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"photo{suffix}", exif=exif, quality=100, subsampling=0)
    upright = decode(tmp_path / f"photo{suffix}", size=32, channels=3).astype(int)
    for (y, x), colour in {(4, 4): RED, (4, 28): GREEN, (28, 4): BLUE, (28, 28): (255, 255, 255)}.items():
        assert np.abs(upright[:, y, x] - colour).max() <= 3


def bands():
    """30 x 10: red, green, blue from left to right, ten pixels each."""
    pixels = np.zeros((10, 30, 3), dtype=np.uint8)
    pixels[:, :10], pixels[:, 10:20], pixels[:, 20:] = RED, GREEN, BLUE
    return Image.fromarray(pixels)


def test_crop_keeps_the_centre_square():
    assert (np.asarray(fit_to_size(bands(), 10, "crop")) == GREEN).all()


def test_crop_of_a_tall_image_keeps_its_middle():
    assert (np.asarray(fit_to_size(bands().transpose(Image.Transpose.ROTATE_90), 10, "crop")) == GREEN).all()


def test_pad_centres_the_whole_image_in_white():
    padded = np.asarray(fit_to_size(bands(), 30, "pad"))
    assert (padded[:10] == 255).all()
    assert (padded[20:] == 255).all()
    assert np.array_equal(padded[10:20], np.asarray(bands()))


def test_stretch_fills_the_square_with_the_whole_image():
    stretched = np.asarray(fit_to_size(bands(), 30, "stretch"))
    assert [tuple(stretched[y, x].tolist()) for y, x in ((0, 3), (15, 15), (29, 26))] == [RED, GREEN, BLUE]


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(("sides", "size"), [((16, 16), 16), ((12, 16), [12, 16]), ((16, 12), [16, 12])])
def test_an_image_of_the_right_size_is_not_changed(fit, sides, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*sides, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(fit_to_size(Image.fromarray(pixels), size, fit)), pixels)


def test_crop_to_height_and_width_keeps_the_largest_centred_part_of_these_proportions():
    pixels = np.asarray(bands())
    assert np.array_equal(np.asarray(fit_to_size(bands(), [10, 20], "crop")), pixels[:, 5:25])
    assert np.array_equal(np.asarray(fit_to_size(bands(), [4, 30], "crop")), pixels[3:7])


def test_pad_to_height_and_width_centres_the_whole_image_in_white():
    pixels = np.asarray(bands())
    padded = np.asarray(fit_to_size(bands(), [16, 30], "pad"))
    assert np.array_equal(padded[3:13], pixels)
    assert (padded[[0, 1, 2, 13, 14, 15]] == 255).all()
    padded = np.asarray(fit_to_size(bands(), [10, 36], "pad"))
    assert np.array_equal(padded[:, 3:33], pixels)
    assert (padded[:, [0, 1, 2, 33, 34, 35]] == 255).all()


def test_stretch_to_height_and_width_fills_them_with_the_whole_image():
    stretched = np.asarray(fit_to_size(bands(), [40, 60], "stretch"))
    assert stretched.shape == (40, 60, 3)
    assert [tuple(stretched[20, x].tolist()) for x in (10, 30, 50)] == [RED, GREEN, BLUE]


def test_an_image_file_is_decoded_to_height_and_width(tmp_path):
    bands().save(tmp_path / "bands.png")
    decoded = decode(tmp_path / "bands.png", [10, 20], 3)
    assert np.array_equal(decoded, np.asarray(bands())[:, 5:25].transpose(2, 0, 1))


SQUARES = {  # as version 0.1 resized them: the box that is cut out, or the size and corner of the whole image
    "crop": ((31, 20), (5.5, 0, 25.5, 20)),
    "stretch": ((31, 20), (0, 0, 31, 20)),
}


@pytest.mark.parametrize("fit", SQUARES)
def test_squares_are_cut_out_and_resized_as_ever(fit):
    (width, height), box = SQUARES[fit]
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    expected = image.resize((13, 13), Image.Resampling.LANCZOS, box=box)
    assert np.array_equal(np.asarray(fit_to_size(image, 13, fit)), np.asarray(expected))


def test_shrinking_is_antialiased():
    board = np.kron([[0, 255] * 16, [255, 0] * 16] * 16, np.ones((1, 1))).astype(np.uint8)
    inner = np.asarray(fit_to_size(Image.fromarray(board), 4))
    assert np.abs(inner.astype(int) - 127).max() <= 3


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "text": b"this is no picture",
        "empty": b"",
        "cut off": None,
    }.items(),
)
def test_a_file_that_is_not_an_image_is_named(tmp_path, name, content):
    path = tmp_path / "broken.png"
    if content is None:
        corners(64, 64).save(path)
        content = path.read_bytes()[:100]
    path.write_bytes(content)
    with pytest.raises(BadImageError, match=r"broken\.png: \w"):
        decode(path, size=4, channels=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), r"data\.size must be .*got 0"),
        ((-64, 3), r"data\.size must be .*got -64"),
        ((6.5, 3), r"data\.size must be .*got 6.5"),
        (("big", 3), r"data\.size must be .*got big"),
        (("48", 3), r"data\.size must be .*got 48"),
        (([48], 3), r"data\.size must be .*got \[48\]"),
        (([48, 0], 3), r"data\.size must be .*\[48,64\]', got \[48, 0\]"),
        (([48, True], 3), r"data\.size must be .*got \[48, True\]"),
        (([1, 2, 3], 3), r"data\.size must be .*got \[1, 2, 3\]"),
        ((64, 2), r"data\.channels must be .*got 2"),
        ((64, 3, "squash"), "data.fit=squash"),
        ((64, 3, "strech"), "Did you mean stretch"),
    ],
)
def test_an_impossible_image_format_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        check_image_format(*arguments)


def test_digits_grow_by_a_black_margin():
    images = np.random.default_rng(0).integers(1, 256, (2, 1, 28, 28), dtype=np.uint8)
    grown = resize_images(images, 32, 1)
    assert np.array_equal(grown[:, :, 2:30, 2:30], images)
    assert grown.sum() == images.sum()


def test_digits_grow_by_a_black_margin_on_the_sides_that_need_one():
    images = np.random.default_rng(0).integers(1, 256, (2, 1, 28, 28), dtype=np.uint8)
    grown = resize_images(images, [28, 31], 1)
    assert grown.shape == (2, 1, 28, 31)
    assert np.array_equal(grown[..., 1:29], images)
    assert grown.sum() == images.sum()


def test_grey_images_become_three_equal_channels_and_back():
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)
    colour = resize_images(images, 8, 3)
    assert all(np.array_equal(colour[:, [channel]], images) for channel in range(3))
    assert np.array_equal(resize_images(colour, 8, 1), images)


def test_arrays_are_resized_like_image_files():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    resized = resize_images(pixels.transpose(2, 0, 1)[None], 20, 3)[0]
    assert np.array_equal(resized.transpose(1, 2, 0), np.asarray(fit_to_size(Image.fromarray(pixels), 20)))


def test_arrays_are_resized_to_height_and_width_like_image_files():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    resized = resize_images(pixels.transpose(2, 0, 1)[None], [20, 24], 3)[0]
    assert np.array_equal(resized.transpose(1, 2, 0), np.asarray(fit_to_size(Image.fromarray(pixels), [20, 24])))


def test_images_are_found_at_any_depth_and_hidden_files_are_not(tmp_path):
    for name in ("b.PNG", "a/c/d.jpeg", "a/notes.txt", ".hidden.png", "__MACOSX/._x.png", ".git/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)] == ["a/c/d.jpeg", "b.PNG"]
