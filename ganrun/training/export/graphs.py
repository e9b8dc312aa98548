"""Graphs of exported programs, made simpler for the formats that they are converted to."""

from typing import Any

from torch import Tensor, fx
from torch.fx.node import map_arg

from ganrun.training.export.programs import ModelProgram


def plain_module(program: ModelProgram) -> fx.GraphModule:
    """Return the program as a module that holds only the weights which it uses, and has no checks of sizes."""
    module = program.exported.module()
    for node in [node for node in module.graph.nodes if node.op == "call_module"]:  # the checks of newer versions
        module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    return fx.GraphModule(module, module.graph)


def fold_constants(module: fx.GraphModule) -> bool:
    """Replace what depends on weights alone, such as a matrix factorization, by its value, in place.

    Returns whether there was any.
    """
    values, has_folded = constant_values(module), False
    for node, value in values.items():
        users = [user for user in node.users if user not in values]
        if node.op == "call_function" and users and isinstance(value, Tensor):
            module.register_buffer(name := f"constant_{node.name}", value.detach())
            with module.graph.inserting_before(node):
                constant = module.graph.get_attr(name)
            for user in users:
                user.replace_input_with(node, constant)
            has_folded = True
    module.graph.eliminate_dead_code()
    module.recompile()
    return has_folded


def constant_values(module: fx.GraphModule) -> dict[fx.Node, Any]:
    """Return {node: value} of the weights, and of all that is computed from weights alone."""
    values: dict[fx.Node, Any] = {}
    for node in module.graph.nodes:
        inputs = node.all_input_nodes
        if node.op == "get_attr":
            values[node] = attribute(module, node.target)
        elif node.op == "call_function" and inputs and all(each in values for each in inputs):
            args, kwargs = map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = node.target(*args, **kwargs)
    return values


def attribute(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module
