"""Two domains of images in CycleGAN's layout."""

from functools import cached_property
from pathlib import Path

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import Size, check_image_format
from ganrun.data.decode_all import decode_all
from ganrun.data.folder import require_images
from ganrun.data.source import FileSource, root_folder
from ganrun.errors import UserError

EXPECTED = (
    "Expected: images in ROOT/trainA and ROOT/trainB and, for scores on a test split, in ROOT/testA and ROOT/testB."
)


class Unpaired(FileSource):
    """trainA, trainB, testA, testB; the test images are pairs if both folders have the same file names."""

    name = "unpaired"
    option_names = ("size", "channels", "fit", "bad_images")

    def __init__(self, root: str | None, size: Size, channels: int, fit: str, bad_images: str):
        check_image_format(size, channels, fit, bad_images)
        self.root, self.size, self.channels, self.fit, self.bad_images = root, size, channels, fit, bad_images

    def files(self) -> list[Path]:
        return [path for paths in self._paths.values() for path in paths]

    @cached_property
    def _paths(self) -> dict[tuple[str, str], list[Path]]:
        """{("train", "a"): image files, ...}; both test folders may be missing."""
        root = root_folder(self.root, self.name, EXPECTED)
        folders = {(split, key): root / f"{split}{key.upper()}" for split in ("train", "test") for key in ("a", "b")}
        missing = [folder.name for folder in folders.values() if not folder.is_dir()]
        if missing not in ([], ["testA", "testB"]):
            raise UserError(f"data.root={self.root} lacks {', '.join(missing)}. {EXPECTED}")
        return {
            part: require_images(folder, EXPECTED) for part, folder in folders.items() if folder.name not in missing
        }

    def write(self, store: CacheWriter) -> dict:
        names, skipped = {}, []
        for (split, key), paths in self._paths.items():
            kept, bad = decode_all(store, split, key, paths, self.bad_images, self.size, self.channels, fit=self.fit)
            names[split, key] = [paths[i].stem for i in kept]
            skipped += bad
        test_a, test_b = (names.get(("test", key), []) for key in "ab")
        return {"skipped": skipped, "is_paired": bool(test_a) and test_a == test_b}
