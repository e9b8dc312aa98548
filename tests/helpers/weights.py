"""Random Inception weights in the layout of the public file, independent of the network under test."""

import math

import torch

# Block: its convolutions, "name in out height width". From torch-fidelity's feature_extractor_inceptionv3.py.
STEM = """Conv2d_1a_3x3 3 32 3 3,Conv2d_2a_3x3 32 32 3 3,Conv2d_2b_3x3 32 64 3 3,Conv2d_3b_1x1 64 80 1 1,
Conv2d_4a_3x3 80 192 3 3"""
A = """branch1x1 {i} 64 1 1,branch5x5_1 {i} 48 1 1,branch5x5_2 48 64 5 5,branch3x3dbl_1 {i} 64 1 1,
branch3x3dbl_2 64 96 3 3,branch3x3dbl_3 96 96 3 3,branch_pool {i} {c} 1 1"""
B = "branch3x3 288 384 3 3,branch3x3dbl_1 288 64 1 1,branch3x3dbl_2 64 96 3 3,branch3x3dbl_3 96 96 3 3"
C = """branch1x1 768 192 1 1,branch7x7_1 768 {c} 1 1,branch7x7_2 {c} {c} 1 7,branch7x7_3 {c} 192 7 1,
branch7x7dbl_1 768 {c} 1 1,branch7x7dbl_2 {c} {c} 7 1,branch7x7dbl_3 {c} {c} 1 7,branch7x7dbl_4 {c} {c} 7 1,
branch7x7dbl_5 {c} 192 1 7,branch_pool 768 192 1 1"""
D = """branch3x3_1 768 192 1 1,branch3x3_2 192 320 3 3,branch7x7x3_1 768 192 1 1,branch7x7x3_2 192 192 1 7,
branch7x7x3_3 192 192 7 1,branch7x7x3_4 192 192 3 3"""
E = """branch1x1 {i} 320 1 1,branch3x3_1 {i} 384 1 1,branch3x3_2a 384 384 1 3,branch3x3_2b 384 384 3 1,
branch3x3dbl_1 {i} 448 1 1,branch3x3dbl_2 448 384 3 3,branch3x3dbl_3a 384 384 1 3,branch3x3dbl_3b 384 384 3 1,
branch_pool {i} 192 1 1"""
BLOCKS = {
    "": STEM,
    "Mixed_5b.": A.format(i=192, c=32),
    "Mixed_5c.": A.format(i=256, c=64),
    "Mixed_5d.": A.format(i=288, c=64),
    "Mixed_6a.": B,
    "Mixed_6b.": C.format(c=128),
    "Mixed_6c.": C.format(c=160),
    "Mixed_6d.": C.format(c=160),
    "Mixed_6e.": C.format(c=192),
    "Mixed_7a.": D,
    "Mixed_7b.": E.format(i=1280),
    "Mixed_7c.": E.format(i=2048),
}


def convolutions():
    """Yield (name, shape of the kernel) of the 94 convolutions."""
    for block, text in BLOCKS.items():
        for line in text.replace("\n", "").split(","):
            name, channels, width, height, across = line.split()
            yield block + name, (int(width), int(channels), int(height), int(across))


def random_inception(seed=0):
    """A random state dict in the layout of the public file, scaled so that activations neither vanish nor explode."""
    g = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in convolutions():
        width = shape[0]
        state[f"{name}.conv.weight"] = torch.randn(shape, generator=g) * math.sqrt(2 / math.prod(shape[1:]))
        state[f"{name}.bn.weight"] = 0.5 + torch.rand(width, generator=g)
        state[f"{name}.bn.bias"] = 0.1 * torch.randn(width, generator=g)
        state[f"{name}.bn.running_mean"] = 0.1 * torch.randn(width, generator=g)
        state[f"{name}.bn.running_var"] = 0.5 + torch.rand(width, generator=g)
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    state["fc.weight"] = torch.randn(1008, 2048, generator=g) / 45
    state["fc.bias"] = torch.randn(1008, generator=g)
    return state


def write_random_inception(path, seed=0):
    """Write a weight file for `metrics.weights` and return its path."""
    torch.save(random_inception(seed), path)
    return path
