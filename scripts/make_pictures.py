"""Make the pictures of the models' pages, docs/images/models/NAME.png, from the runs of scripts/compare_models.py.

python scripts/make_pictures.py OUT    OUT is the folder of the runs

Each is the last samples of the run with seed 1 on digits, or else on the ring or on sprites; NAME-reconstructions.png
its last reconstructions, if the model has them, and NAME-c1.png its images of each value of a code. Models without such
a run are left out.
"""

import argparse
from pathlib import Path

from compare_models import TABLES, folder_of
from PIL import Image
from trainings import is_done

PICTURES = Path(__file__).parents[1] / "docs" / "images" / "models"
TILE, GAP = 30, 2  # pixels of a digit with the gap after it, and of the gap before the first
ROWS = 4  # of a grid of samples; grids with a row per class are kept whole
CLASSES = 10


def find_runs(out: Path, seed: int = 1) -> dict[str, Path]:
    """Return the folder of the first run of each model that is done: {model: folder}."""
    runs = {}
    for table in ("digits", "codes", "read_codes", "ring", "sprites"):
        for row, settings in TABLES[table].rows.items():
            model = next(setting.removeprefix("model=") for setting in settings if setting.startswith("model="))
            folder = folder_of(out, table, row, seed)
            if model not in runs and is_done(folder):
                runs[model] = folder
    return runs


def cut(image: Image.Image) -> Image.Image:
    """Return the first rows of a grid of digits; other pictures as they are, with 128 colours."""
    if (image.width - GAP) % TILE:
        return image.quantize(128)
    columns = (image.width - GAP) // TILE
    rows = CLASSES if columns == CLASSES else ROWS
    return image.crop((0, 0, image.width, min(rows * TILE + GAP, image.height))).convert("L")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the runs")
    PICTURES.mkdir(exist_ok=True)
    for model, folder in find_runs(parser.parse_args().out).items():
        kinds = {"samples": model} | {kind: f"{model}-{kind}" for kind in ("reconstructions", "c1", "c2")}
        for kind, name in kinds.items():
            if newest := max((folder / "samples").glob(f"{kind}-*.png"), default=None):
                with Image.open(newest) as image:
                    cut(image).save(PICTURES / f"{name}.png", optimize=True)
                print(f"{name}: {newest}", flush=True)


if __name__ == "__main__":
    main()
