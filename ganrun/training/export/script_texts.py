"""The texts of the scripts in bundles: $names are filled in by `script.py`."""

ARGUMENTS = """
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("n", nargs="?", type=int, default=$count, help="number of samples (%(default)s)")
parser.add_argument("--seed", type=int, default=$seed, help="$of_seed")$class_argument
args = parser.parse_args()
n, here = args.n, pathlib.Path(__file__).parent
""".strip()
CLASS_ARGUMENT = """
parser.add_argument("label", nargs="?", type=int, choices=range($classes), metavar="label", help="a class (all)")"""
SAMPLE_TORCH = r'''"""$title: samples without ganrun. Needs $packages."""

$imports

$arguments
random = torch.Generator().manual_seed(args.seed)
$inputs
with torch.inference_mode():
    x = $call
$save
'''
SAMPLE_NUMPY = r'''"""$title: samples without ganrun. Needs $packages."""

$imports

$arguments
random = np.random.default_rng(args.seed)
$inputs
x = $call
$save
'''
SAVE_PNG_TORCH = """
pixels = ((x + 1) * 127.5).round().clamp(0, 255).byte()
pixels = torch.cat([pixels, pixels.new_zeros(-n % 8, *pixels.shape[1:])])
grid = torch.cat([torch.cat([*row], 2) for row in pixels.split(8)], 1).permute(1, 2, 0)
Image.frombytes("$mode", (grid.shape[1], grid.shape[0]), bytes(grid.flatten().tolist())).save("samples.png")
print(f"{n} samples in samples.png")
""".strip()
SAVE_PNG_NUMPY = """
pixels = ((x + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
pixels = np.concatenate([pixels, np.zeros((-n % 8, *pixels.shape[1:]), np.uint8)])
rows = [np.concatenate([*row], 2) for row in np.split(pixels, len(pixels) // 8)]
grid = np.concatenate(rows, 1).transpose(1, 2, 0)
Image.frombytes("$mode", (grid.shape[1], grid.shape[0]), grid.tobytes()).save("samples.png")
print(f"{n} samples in samples.png")
""".strip()
SAVE_CSV = r"""
rows = [",".join(f"{value:.6g}" for value in row) for row in x.reshape(n, -1).tolist()]
pathlib.Path("samples.csv").write_text("\n".join(rows) + "\n")
print(f"{n} samples in samples.csv")
""".strip()
READ_PICTURE = '''"""$title without ganrun. Needs $packages."""

$imports

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("source", help="an image file")
parser.add_argument("target", help="the image file to write")
parser.add_argument("name", nargs="?", default="a_to_b", choices=["a_to_b", "b_to_a"], help="direction (%(default)s)")
args = parser.parse_args()
name, here = args.name, pathlib.Path(__file__).parent
image = Image.open(args.source).convert("$mode")$resize
(width, height), channels = image.size, $channels
'''
TRANSLATE_TORCH = (
    READ_PICTURE
    + """x = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(1, height, width, channels)
x = x.permute(0, 3, 1, 2) * (1 / 127.5) - 1$pad
with torch.inference_mode():
    y = $call[0, :, :height, :width]
pixels = ((y + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0)
Image.frombytes("$mode", (width, height), bytes(pixels.flatten().tolist())).save(args.target)
"""
)
TRANSLATE_NUMPY = (
    READ_PICTURE
    + """x = np.asarray(image, np.float32).reshape(1, height, width, channels).transpose(0, 3, 1, 2)
x = x * np.float32(1 / 127.5) - np.float32(1)$pad
y = $call[0, :, :height, :width]
pixels = ((y + 1) * 127.5).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
Image.frombytes("$mode", (width, height), pixels.tobytes()).save(args.target)
"""
)
PAD_TORCH = '\nx = torch.nn.functional.pad(x, (0, -width % $multiple, 0, -height % $multiple), mode="replicate")'
PAD_NUMPY = '\nx = np.pad(x, ((0, 0), (0, 0), (0, -height % $multiple), (0, -width % $multiple)), mode="edge")'
CALLS = {  # per format
    "safetensors": '$function(load_file(here / "weights.safetensors"), $arguments)',
    "torchscript": "torch.jit.load(here / $file)($arguments)",
    "onnx": "onnxruntime.InferenceSession(here / $file).run(None, {$arguments})[0]",
}
IMPORTS = {  # per format, besides the standard library
    "safetensors": ["torch", "from safetensors.torch import load_file", "network"],
    "torchscript": ["torch"],
    "onnx": ["numpy as np", "onnxruntime"],
}
TORCH_DRAWS = {
    "normal": "torch.randn($size, generator=random, dtype=torch.$dtype)",
    "uniform": "torch.rand($size, generator=random, dtype=torch.$dtype)",
    "integers": "torch.randint($low, $high, ($size), generator=random)",
    "choice": "torch.multinomial(torch.tensor($shares, dtype=torch.float64), n, True, generator=random)",
}
NUMPY_DRAWS = {
    "normal": "random.standard_normal(($size), dtype=np.$dtype)",
    "uniform": "random.random(($size), dtype=np.$dtype)",
    "integers": "random.integers($low, $high, ($size))",
    "choice": "random.choice($count, n, p=$shares)",
}
