"""DINOv2, whose features define FD-DINOv2. Oquab et al. 2023; Stein et al. 2023."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganrun.metrics.extractors.pretrained import PretrainedExtractor
from ganrun.metrics.extractors.resize import resize_pillow, standardize
from ganrun.metrics.extractors.weights import PublishedWeights

DINOV2 = PublishedWeights(
    "dinov2-large-399fba97.safetensors",
    "https://huggingface.co/facebook/dinov2-large/resolve/47b73eefe95e8d44ec3623f8890bd894b6ea2d6c/model.safetensors",
    "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
    "DINOv2",
    1218,
    "FD-DINOv2",
)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels
POSITIONS = "embeddings.position_embeddings"


class DINOv2Extractor(PretrainedExtractor):
    """The normalized class token of DINOv2's ViT-L/14 without registers; its scores are called fd_dinov2 and so on.

    The input is that of dgm-eval, the code of Stein et al.: the whole image, squeezed into a square.
    """

    name = "dinov2"
    resize = "Pillow's 8-bit bicubic to 224x224, standardized by ImageNet, as dgm-eval"
    num_features = 1024
    published = DINOV2
    size, trained_size = 224, 518  # pixels of the input, and of the images that the positions in the file belong to
    architecture = {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "mlp_ratio": 4,
        "patch_size": 14,
        "layer_norm_eps": 1e-6,
    }

    def describe_network(self) -> tuple[Any, Any]:
        from transformers import Dinov2Config, Dinov2Model

        return Dinov2Model, Dinov2Config(image_size=self.size, **self.architecture)

    def select_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        old, new = (size // self.architecture["patch_size"] for size in (self.trained_size, self.size))
        if POSITIONS not in tensors or tensors[POSITIONS].shape[:-1] != (1, 1 + old**2):
            return tensors
        return tensors | {POSITIONS: resize_positions(tensors[POSITIONS], old, new)}

    def features(self, outputs: Any) -> Tensor:
        return outputs.pooler_output

    def fit(self, images: Tensor) -> Tensor:
        return standardize(resize_pillow(images.expand(-1, 3, -1, -1), self.size), MEAN, DEVIATION)


def resize_positions(positions: Tensor, old: int, new: int) -> Tensor:
    """Resize the position embeddings of old x old patches, [1, 1 + old * old, d], to [1, 1 + new * new, d].

    The first one is the class token's. Bicubic without antialiasing, with the offset of 0.1 patches in DINOv2's code;
    newer versions of transformers leave it out, which changes the features.
    """
    grid = positions[:, 1:].float().unflatten(1, (old, old)).permute(0, 3, 1, 2)
    grid = interpolate(grid, scale_factor=(new + 0.1) / old, mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)
