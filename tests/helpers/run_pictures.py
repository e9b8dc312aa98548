"""The pictures that a training leaves in its folder, beside the grids of its course."""

from pathlib import Path


def pictures_of(run: str | Path) -> set[str]:
    """Return the names of the pictures of a run folder without their ending: samples, path ..."""
    return {path.stem for path in Path(run).glob("*.png")}
