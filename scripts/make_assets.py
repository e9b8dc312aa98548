"""Create the assets of ganrun from the MNIST files: ganrun/assets/digits.npz, then the LeNet classifier.

python scripts/make_assets.py --mnist ROOT    ROOT contains MNIST/raw/*.gz, as for torchvision
"""

import argparse
import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

from ganrun.data.digits import SHIPPED
from ganrun.data.idx import Mnist, read_idx

TRAIN_PER_CLASS, TEST_PER_CLASS = 900, 100
log = logging.getLogger("make_assets")


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the first `count` examples of each class, in ascending order."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]))


def cut_digits(root: str) -> dict[str, np.ndarray]:
    """Return the arrays of digits.npz; train_index and test_index are the digits' indices in MNIST."""
    x_train, y_train, x_test, y_test = map(read_idx, Mnist(root, size=28, channels=1).files())
    train, test = first_of_each_class(y_train, TRAIN_PER_CLASS), first_of_each_class(y_test, TEST_PER_CLASS)
    return {
        "x_train": x_train[train],
        "y_train": y_train[train],
        "x_test": x_test[test],
        "y_test": y_test[test],
        "train_index": train,
        "test_index": test,
    }


def save_compressed(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Save like numpy.savez_compressed, but smaller and without times: the same digits give the same file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def train_lenet(root: str) -> None:
    path = Path(__file__).with_name("train_lenet.py")
    if not path.is_file():
        log.warning("%s is missing: the LeNet is not trained", path)
        return
    subprocess.run([sys.executable, str(path), "--mnist", root], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", required=True, metavar="ROOT", help="folder that contains MNIST/raw/*.gz")
    root = parser.parse_args().mnist
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    save_compressed(SHIPPED, cut_digits(root))
    log.info("%s: %.2f MB", SHIPPED, SHIPPED.stat().st_size / 1e6)
    train_lenet(root)


if __name__ == "__main__":
    main()
