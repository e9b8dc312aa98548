"""CLIP, whose image embeddings define CMMD. Radford et al. 2021; Jayasumana et al. 2024."""

from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from ganrun.metrics.extractors.pretrained import PretrainedExtractor
from ganrun.metrics.extractors.resize import crop_square, resize_pillow, standardize
from ganrun.metrics.extractors.weights import PublishedWeights

REPOSITORY = "https://huggingface.co/openai/clip-vit-large-patch14-336"
CLIP = PublishedWeights(
    "clip-vit-large-patch14-336-c6032c2e.bin",
    f"{REPOSITORY}/resolve/ce19dc912ca5cd21c8a653c79e251e808ccabcd1/pytorch_model.bin",
    "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
    "CLIP",
    1712,
    "CMMD",
)
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's training images


class CLIPExtractor(PretrainedExtractor):
    """The image embeddings of CLIP's ViT-L/14 at 336 pixels, of length 1; its scores are called cmmd, fd_clip ...

    The input is that of the code of Jayasumana et al., cmmd in google-research: the square in the middle of the image.
    """

    name = "clip"
    resize = "middle square, Pillow's 8-bit bicubic to 336x336, standardized by CLIP, as cmmd"
    num_features = 768
    published = CLIP
    size = 336
    architecture = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "projection_dim": 768,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    }

    def named(self, score: str) -> str:
        return score if score == "cmmd" else super().named(score)  # the C is CLIP's

    def describe_network(self) -> tuple[Any, Any]:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        return CLIPVisionModelWithProjection, CLIPVisionConfig(image_size=self.size, **self.architecture)

    def select_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Leave out the network for texts, and the numbers of the positions, which are no weights."""
        of_images = ("vision_model.", "visual_projection.")
        names = (name for name in tensors if name.startswith(of_images) and not name.endswith(".position_ids"))
        return {name: tensors[name] for name in names}

    def features(self, outputs: Any) -> Tensor:
        return normalize(outputs.image_embeds, dim=1)

    def fit(self, images: Tensor) -> Tensor:
        return standardize(resize_pillow(crop_square(images).expand(-1, 3, -1, -1), self.size), MEAN, DEVIATION)
