"""The script of a bundle, which samples or translates without ganrun: some 20 lines that a person can read."""

from string import Template
from typing import NamedTuple

from ganrun.seeds import hash_integers
from ganrun.training.export import script_texts as texts
from ganrun.training.export.programs import CHECKED, ModelProgram, ProgramInput

MODES = {1: "L", 3: "RGB"}  # Pillow's names, by the number of channels
SAMPLES = 64
ENDINGS = {"safetensors": "", "torchscript": ".pt", "onnx": ".onnx"}  # of the files of programs
PACKAGES = {"safetensors": ("torch", "safetensors"), "torchscript": ("torch",), "onnx": ("onnxruntime", "numpy")}


class Script(NamedTuple):
    """A script.  packages: that it needs.  arguments: an example of them."""

    name: str
    text: str
    packages: tuple[str, ...]
    arguments: str


def write_script(form: str, programs: list[ModelProgram], title: str) -> Script:
    """Return the script of a bundle of this format."""
    program, packages = programs[0], PACKAGES[form]
    if program.is_translation:
        packages += ("pillow",)
        text = translation_script(form, program, title, packages)
        return Script("translate.py", text, packages, f"IMAGE NEW.png {program.name}")
    packages += ("pillow",) * is_drawable(program)
    return Script("sample.py", sampling_script(form, program, title, packages), packages, str(SAMPLES))


def is_drawable(program: ModelProgram) -> bool:
    """Return whether the output is images that a PNG file can hold."""
    return len(program.output_shape) == 3 and program.output_shape[0] in MODES


def sampling_script(form: str, program: ModelProgram, title: str, packages: tuple[str, ...]) -> str:
    """Return the script that draws samples; with torch, the same as `ganrun sample` at its seed 0."""
    is_onnx, is_picture = form == "onnx", is_drawable(program)
    given = [each for each in program.inputs if each.is_condition]
    classes = next((each.settings["classes"] for each in program.inputs if "classes" in each.settings), 0)
    modules = ["argparse", "pathlib"] + ["json"] * bool(given)
    picture = texts.SAVE_PNG_NUMPY if is_onnx else texts.SAVE_PNG_TORCH
    return fill(
        texts.SAMPLE_NUMPY if is_onnx else texts.SAMPLE_TORCH,
        title=title,
        packages=", ".join(packages),
        imports=import_lines(form, modules, "pillow" in packages),
        arguments=fill(
            texts.ARGUMENTS,
            count=CHECKED if given else SAMPLES,
            seed=0 if is_onnx else hash_integers(0),
            of_seed="of the noise" if is_onnx else "of the noise (that of: ganrun sample RUN)",
            class_argument=fill(texts.CLASS_ARGUMENT, classes=classes) if classes else "",
        ),
        inputs="\n".join(f"{each.name} = {input_source(each, is_onnx)}" for each in program.inputs),
        call=call_of_program(form, program, f'"{program.name}{ENDINGS[form]}"', f"network.{program.name}"),
        save=fill(
            picture if is_picture else texts.SAVE_CSV,
            mode=MODES.get(program.output_shape[0] or 0),
        ),
    )


def translation_script(form: str, program: ModelProgram, title: str, packages: tuple[str, ...]) -> str:
    """Return the script that translates an image file, in its own size if the networks take any."""
    channels, height, width = program.inputs[0].shape
    multiple = program.inputs[0].settings.get("multiple")
    pad = texts.PAD_NUMPY if form == "onnx" else texts.PAD_TORCH
    return fill(
        texts.TRANSLATE_NUMPY if form == "onnx" else texts.TRANSLATE_TORCH,
        title=title,
        packages=", ".join(packages),
        imports=import_lines(form, ["argparse", "pathlib"], needs_pillow=True),
        mode=MODES[channels or 3],
        channels=channels,
        resize="" if multiple else f".resize(({width}, {height}))",
        pad=fill(pad, multiple=multiple) if multiple else "",
        call=call_of_program(form, program, f'f"{{name}}{ENDINGS[form]}"', "getattr(network, name)"),
    )


def fill(text: str, **values: object) -> str:
    return Template(text).safe_substitute({name: str(value) for name, value in values.items()})


def import_lines(form: str, modules: list[str], needs_pillow: bool) -> str:
    """Return the imports: those of the standard library, of packages, and of the bundle."""
    names = texts.IMPORTS[form] + ["from PIL import Image"] * needs_pillow
    lines = [name if name.startswith("from ") else f"import {name}" for name in names]
    own = [line for line in lines if line == "import network"]
    others = sorted((line for line in lines if line not in own), key=lambda line: (line.startswith("from"), line))
    return "\n".join([f"import {', '.join(sorted(modules))}", *others, *own])


def call_of_program(form: str, program: ModelProgram, file: str, function: str) -> str:
    """Return the call of a program. file, function: the expressions for what holds it, of which a format has one."""
    names = [each.name for each in program.inputs]
    arguments = [f'"{each}": {each}' for each in names] if form == "onnx" else names
    return fill(texts.CALLS[form], file=file, function=function, arguments=", ".join(arguments))


def input_source(given: ProgramInput, is_onnx: bool) -> str:
    """Return the expression that draws an input, or takes it from the command line or from a file."""
    numpy = "np" if is_onnx else "torch"
    if given.is_condition:
        kind = f"{numpy}.{str(given.examples.dtype).removeprefix('torch.')}"
        content = f'json.loads((here / "{given.name}.json").read_text())'
        values = f"np.array({content}, {kind})" if is_onnx else f"torch.tensor({content}, dtype={kind})"
        return f"{values}[{numpy}.arange(n) % {len(given.examples)}]"
    if "classes" in given.settings:
        classes = given.settings["classes"]
        full = "np.full(n, args.label)" if is_onnx else "torch.full((n,), args.label)"
        return f"{full} if args.label is not None else {numpy}.arange(n) % {classes}"
    size = ", ".join(["n", *map(str, given.shape)])
    draws = texts.NUMPY_DRAWS if is_onnx else texts.TORCH_DRAWS
    size += "," * (not given.shape and given.kind == "integers")
    settings = {"count": len(given.settings.get("shares", ())), **given.settings}
    return fill(draws[given.kind], size=size, dtype=str(given.examples.dtype).removeprefix("torch."), **settings)
