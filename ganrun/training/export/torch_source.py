"""Writes programs as plain Python: torch's operations in their order, to be read and run without ganrun."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from ganrun.errors import UserError
from ganrun.training.export.programs import ModelProgram, format_axes, weights_of

HEADER = '''"""{title}, as plain PyTorch operations.

Written by ganrun export; needs torch only. Each function takes the weights, {{name: tensor}}, and returns one tensor.
"""

import operator

import torch

aten = torch.ops.aten
'''
RESERVED = ("weights", "device", "aten", "torch", "operator")
CHECKS = ("aten._assert", "aten.sym_constrain")  # of torch.export itself, about sizes


def write_source(programs: list[ModelProgram], title: str) -> str:
    """Return a module with a function per program."""
    return "\n\n".join([HEADER.format(title=title), *map(write_function, programs)])


def write_function(program: ModelProgram) -> str:
    """Return a function (weights, inputs ...) -> output: one line per operation."""
    graph, weights = program.exported.graph, weights_of(program)
    names, taken, lines = {}, {*RESERVED, *(each.name for each in program.inputs)}, []
    given = dict(zip(program.exported.graph_signature.user_inputs, program.inputs, strict=True))
    used = used_nodes(graph)
    for node in graph.nodes:
        if node.op == "placeholder" and node.users:
            names[node] = given[node.name].name if node.name in given else f"weights[{weights[node.name][0]!r}]"
        elif node.op == "output":
            lines.append(f"return {as_source(node.args[0][0], names)}")
        elif node.op == "call_function" and node in used:
            names[node] = f"{node.name}_" if node.name in taken else node.name
            lines.append(f"{names[node]} = {call_source(node, names)}")
    arguments = ", ".join(each.name for each in program.inputs)
    body = [describe_function(program), f"device = {program.inputs[0].name}.device", *lines]
    return f"def {program.name}(weights, {arguments}):\n" + "".join(f"    {line}\n" for line in body)


def describe_function(program: ModelProgram) -> str:
    shapes = [f"{each.name} {each.examples.dtype} {format_axes(each.shape)}" for each in program.inputs]
    return f'"""{", ".join(shapes)} -> {format_axes(program.output_shape)}."""'.replace("torch.", "")


def used_nodes(graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes that the output depends on, and those that change a tensor in place."""
    used: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        schema = getattr(node.target, "_schema", None)
        is_needed = node in used or node.op == "output" or bool(schema and schema.is_mutable)
        if is_needed and not str(node.target).startswith(CHECKS):
            used |= {node, *node.all_input_nodes}
    return used


def call_source(node: fx.Node, names: Mapping[fx.Node, str]) -> str:
    """Return the call of a node's operation. Raises UserError for one that is not torch's or Python's own."""
    arguments = [as_source(value, names) for value in node.args]
    arguments += [f"{key}={as_source(value, names)}" for key, value in node.kwargs.items()]
    return f"{operation_name(node.target)}({', '.join(arguments)})"


def operation_name(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        return str(target) if target.namespace == "aten" else f"torch.ops.{target}"
    module = getattr(target, "__module__", None)
    if module in ("_operator", "torch") and isinstance(getattr(target, "__name__", None), str):
        return f"{module.lstrip('_')}.{target.__name__}"
    raise UserError(
        f"The model cannot be exported as format=safetensors: the operation {target} cannot be written as Python code. "
        "Use format=torchscript."
    )


def as_source(value: Any, names: Mapping[fx.Node, str]) -> str:
    """Return Python code of an argument. Devices become that of the first input."""
    if isinstance(value, fx.Node):
        return names[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(as_source(each, names) for each in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return "device" if isinstance(value, torch.device) else repr(value)
