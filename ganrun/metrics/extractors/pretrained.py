"""Extractors whose networks come from the package transformers, which is optional."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ganrun.errors import UserError
from ganrun.files import sha256_of_file
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.extractors.weights import load_tensors, refuse_mismatches

MAX_BYTES = 2_000_000_000  # of a weight file; CLIP's has 1.7 billion


class Embedder(nn.Module):
    """A network of transformers that returns features [B, d] and no logits [B, 0]."""

    def __init__(self, network: nn.Module, features: Callable[[Any], Tensor]):
        """features: takes them from what the network returns."""
        super().__init__()
        self.network, self.features = network, features

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: [B, 3, H, W], standardized."""
        features = self.features(self.network(pixel_values=x))
        return features, features.new_zeros(len(features), 0)


class PretrainedExtractor(Extractor):
    """Features of a network of transformers, which is trained on natural images and is no classifier.

    architecture: the arguments of its config, which the weight file alone does not tell.
    """

    num_logits = 0
    at_once = 50
    is_smooth = False  # resize_pillow rounds
    architecture: dict[str, Any]

    def load(self) -> None:
        self.check_package()  # before anything is downloaded
        super().load()

    def describe_download(self) -> str:
        self.check_package()
        return super().describe_download()

    def check_package(self) -> None:
        """Raise UserError if transformers is not installed. This does not import it, which takes seconds."""
        if not find_spec("transformers"):
            message = f"metrics={self.name} needs the package transformers. Install it: pip install 'ganrun[features]'"
            raise UserError(message)

    def build(self) -> nn.Module:
        network_class, config = self.describe_network()
        return Embedder(network_class(config), self.features)

    def load_network(self, path: Path) -> tuple[nn.Module, str]:
        network_class, config = self.describe_network()
        tensors = {name: x for name, x in load_tensors(path, MAX_BYTES).items() if isinstance(x, Tensor)}
        with quiet_transformers():
            # The names in the files are older than those of the modules: only from_pretrained knows both.
            network, report = network_class.from_pretrained(
                None,
                config=config,
                state_dict={name: x.float() for name, x in self.select_tensors(tensors).items()},
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, with all others
            )
        kinds = {"missing": "missing_keys", "unknown": "unexpected_keys", "of another shape": "mismatched_keys"}
        mismatches = {kind: sorted(map(name_of_tensor, report[key])) for kind, key in kinds.items()}
        refuse_mismatches(path, network, mismatches)
        return Embedder(network.float(), self.features), sha256_of_file(path)

    @abstractmethod
    def describe_network(self) -> tuple[Any, Any]:
        """Return the network's class in transformers, and a config of `architecture`."""

    @abstractmethod
    def features(self, outputs: Any) -> Tensor:
        """Return the features [B, d] in what the network returns."""

    def select_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return those tensors of a weight file that the network has, as it has them."""
        return tensors


def name_of_tensor(entry: str | tuple) -> str:
    """The name in an entry of a loading report: of mismatched tensors, it is (name, shape, shape)."""
    return entry if isinstance(entry, str) else entry[0]


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from writing progress bars and its own report of a file that does not fit."""
    from transformers.utils import logging

    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()
