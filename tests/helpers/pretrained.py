"""Small networks of the kinds that DINOv2 and CLIP are, with random weights."""

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ganrun.metrics.extractors.clip import CLIPExtractor
from ganrun.metrics.extractors.dinov2 import DINOv2Extractor

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}


class SmallDINOv2(DINOv2Extractor):
    size, trained_size, num_features = 28, 70, 32
    architecture = DINOv2Extractor.architecture | SMALL


class SmallCLIP(CLIPExtractor):
    size, num_features = 28, 16
    architecture = CLIPExtractor.architecture | SMALL | {"intermediate_size": 64, "projection_dim": 16}


def save_random(network, folder, seed=0):
    """Give a network of transformers random weights and save it as the library does; return the file's path."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            width = weight.shape[-1] if weight.ndim else 1
            weight.copy_(torch.randn(weight.shape, generator=generator) / width**0.5)
    network.save_pretrained(folder)
    return folder / "model.safetensors"


def write_small_dinov2(folder):
    """Write random weights for SmallDINOv2 and return their path."""
    from transformers import Dinov2Config, Dinov2Model

    return save_random(Dinov2Model(Dinov2Config(image_size=70, **SmallDINOv2.architecture)), folder)


def write_small_clip(folder):
    """Write a whole small CLIP, with its network for texts, and return the path."""
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    vision = SmallCLIP.architecture | {"image_size": 28}
    config = CLIPConfig(vision_config=vision, text_config=text | {"vocab_size": 20}, projection_dim=16)
    return save_random(CLIPModel(config), folder)


def as_first_published(path):
    """Write the tensors as in the files of CLIP's time: by torch.save, with the numbers of the positions."""
    positions = {"vision_model.embeddings.position_ids": torch.arange(5)[None], "logit_scale": torch.tensor(2.0)}
    torch.save(load_file(path) | positions, path.with_suffix(".bin"))
    return path.with_suffix(".bin")


def without(path, name):
    """Write the file without one tensor and return the new path."""
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path.with_name("incomplete.safetensors"))
    return path.with_name("incomplete.safetensors")


def resize_by_pillow(image, size):
    """Pillow's bicubic of a uint8 image [C, H, W], first of the width, then of the height: float64 [size, size, 3]."""
    rgb = Image.fromarray(image.expand(3, -1, -1).permute(1, 2, 0).numpy())
    wide = rgb.resize((size, rgb.height), Image.Resampling.BICUBIC)
    return np.asarray(wide.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)


def pixels_by_pillow(image, size, mean, deviation):
    """The input of a network from a uint8 image [C, H, W]: Pillow's resize, then numpy: [1, 3, size, size]."""
    standardized = (resize_by_pillow(image, size) / 255 - np.array(mean)) / np.array(deviation)
    return torch.from_numpy(standardized).permute(2, 0, 1)[None].float()


def random_images(n, channels, height, width, seed=1):
    """Noise and, in every other image, a smooth slope: uint8 [n, channels, height, width]."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, channels, height, width), generator=generator, dtype=torch.uint8)
    images[::2] = (torch.arange(width) * 255 // width).byte()
    return images
