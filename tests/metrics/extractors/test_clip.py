"""CLIP's embeddings against transformers' own forward pass and Pillow's resize of the middle square."""

import pytest
import torch
from helpers.pretrained import SmallCLIP, as_first_published, pixels_by_pillow, random_images, write_small_clip

from ganrun.metrics.extractors.clip import CLIPExtractor

CLIPS_PIXELS = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def weight_file(tmp_path_factory):
    return write_small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def whole_clip(weight_file):
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(weight_file.parent).eval()


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 40, 24), (1, 28, 28), (3, 16, 21)])
def test_features_are_the_image_embeddings_of_length_one(weight_file, whole_clip, channels, height, width):
    images = random_images(4, channels, height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    squares = images[:, :, top : top + side, left : left + side]
    pixels = torch.cat([pixels_by_pillow(image, 28, *CLIPS_PIXELS) for image in squares])
    with torch.no_grad():
        pooled = whole_clip.vision_model(pixels).pooler_output
        expected = pooled @ whole_clip.visual_projection.weight.T
    expected /= expected.norm(dim=1, keepdim=True)
    features, logits = SmallCLIP(weight_file)(images)
    assert torch.allclose(features, expected, atol=1e-4)
    assert expected.std(0).mean() > 0.005
    assert logits.shape == (4, 0)


def test_a_file_of_torch_save_with_the_numbers_of_positions_is_loaded_too(weight_file):
    images = random_images(3, 3, 30, 30)
    assert torch.equal(SmallCLIP(as_first_published(weight_file))(images)[0], SmallCLIP(weight_file)(images)[0])


def test_a_file_without_the_network_for_texts_is_loaded_too(weight_file, tmp_path):
    from transformers import CLIPVisionModelWithProjection

    CLIPVisionModelWithProjection.from_pretrained(weight_file.parent).save_pretrained(tmp_path)
    images = random_images(3, 3, 30, 30)
    own, whole = (SmallCLIP(path)(images)[0] for path in (tmp_path / "model.safetensors", weight_file))
    assert torch.equal(own, whole)


def test_the_architecture_is_that_of_the_published_file():
    """openai/clip-vit-large-patch14-336 has 1,711,974,081 bytes; what is no float32 weight is its index."""
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    vision = CLIPExtractor.architecture | {"image_size": CLIPExtractor.size}
    with torch.device("meta"):
        tensors = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=768)).state_dict()
    assert 0 < 1_711_974_081 - sum(4 * x.numel() for x in tensors.values()) < 350 * len(tensors)


def test_cmmd_has_clip_in_its_name_already():
    assert [*map(CLIPExtractor().named, ["cmmd", "fd", "recall"])] == ["cmmd", "fd_clip", "recall_clip"]
