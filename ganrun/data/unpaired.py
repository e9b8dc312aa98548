"""Two domains of images in CycleGAN's layout."""

import logging
from functools import cached_property
from pathlib import Path

from ganrun.data.cache import CacheWriter, LoadedData
from ganrun.data.decode import Size, check_image_format
from ganrun.data.decode_all import decode_all
from ganrun.data.folder import SKIP
from ganrun.data.image_files import ImageFiles, describe_left_out, list_images, refuse_lost, require_image_files
from ganrun.data.roots import root_folder
from ganrun.data.source import FileSource
from ganrun.errors import UserError

log = logging.getLogger(__name__)
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
        return [path for found in self._found.values() for path in found.paths]

    @cached_property
    def _found(self) -> dict[tuple[str, str], ImageFiles]:
        """{("train", "a"): image files, ...}; both test folders may be missing."""
        root = root_folder(self.root, self.name, EXPECTED)
        folders = {(split, key): root / f"{split}{key.upper()}" for split in ("train", "test") for key in ("a", "b")}
        missing = [folder.name for folder in folders.values() if not folder.is_dir()]
        if missing not in ([], ["testA", "testB"]):
            raise UserError(f"data.root={self.root} lacks {', '.join(missing)}. {EXPECTED}")
        found = {part: list_images(folder) for part, folder in folders.items() if folder.name not in missing}
        if self.bad_images == "raise":
            refuse_lost([*found.values()], SKIP)
        return {part: require_image_files(each, EXPECTED) for part, each in found.items()}

    def write(self, store: CacheWriter) -> dict:
        names, skipped = {}, []
        for (split, key), found in self._found.items():
            paths = found.paths
            kept, bad = decode_all(store, split, key, paths, self.bad_images, self.size, self.channels, fit=self.fit)
            names[split, key] = [paths[i].stem for i in kept]
            skipped += bad
        test_a, test_b = (names.get(("test", key), []) for key in "ab")
        return {"skipped": skipped, "is_paired": bool(test_a) and test_a == test_b}

    def load(self) -> LoadedData:
        data = super().load()
        counts = [f"{split}{key.upper()} {len(data.splits[split][key])}" for split, key in self._found]
        damaged = [f"{len(data.skipped)} that cannot be decoded"] if data.skipped else []
        left_out = ", ".join([*damaged, *filter(None, [describe_left_out([*self._found.values()])])])
        log.info("data=unpaired: images used: %s; left out: %s", ", ".join(counts), left_out or "none")
        return data
