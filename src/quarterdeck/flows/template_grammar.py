"""What prompts may be made of, and how their loops and comparisons are counted."""

from collections.abc import Iterator
from typing import cast

from jinja2 import nodes

DEPTH = 40
"""Nodes below one another; what is deeper can't be compiled by Python either."""
BLOCKS = 12
"""Conditions and loops inside one another."""
LOOPS = 2
"""Loops inside one another."""
LOOP = ("index", "index0", "revindex", "revindex0", "first", "last", "length")
TESTS = ("boolean", "defined", "false", "mapping", "none", "number", "sequence", "string", "true", "undefined")
GONE_THROUGH, WEIGHED = " gone through", " weighed"
"""Filters that only `bounded` puts in: no template can write a name with a space."""

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.Assign,
    nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Keyword, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Neg,
    nodes.List, nodes.Tuple, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
)  # fmt: skip


def depth_fits(tree: nodes.Node) -> bool:
    """Whether a tree is flat enough to be walked and compiled."""
    level = [tree]
    for _ in range(DEPTH):
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return True
    return False


def names(tree: nodes.Node) -> set[str]:
    """The values that a template takes from outside."""
    found = [node for node in _walk(tree) if isinstance(node, nodes.Name)]
    own = {node.name for node in found if node.ctx == "store"} | {"loop"}
    return {node.name for node in found} - own


def refusals(tree: nodes.Node, filters: tuple[str, ...]) -> list[str]:
    """What there is in a template that prompts can't use, each with its line."""
    walked = list(_walk(tree))
    found = [(node, what) for node in walked if (what := _refusal(node))]
    known = {*filters}
    told = [f"{what} (line {node.lineno} of the template)" for node, what in found]
    unknown = sorted({node.name for node in walked if isinstance(node, nodes.Filter)} - known)
    told += [f"the filter {name!r} is not known (there are {', '.join(filters)})" for name in unknown]
    unknown = sorted({node.name for node in walked if isinstance(node, nodes.Test)} - {*TESTS})
    told += [f"the test {name!r} is not known (there are {', '.join(TESTS)})" for name in unknown]
    return [*told, *_nesting(tree)]


def bounded(tree: nodes.Template) -> nodes.Template:
    """The same template, which counts what its loops and comparisons cost."""
    for node in list(_walk(tree)):
        match node:
            case nodes.For():
                steps = sum(1 for _ in _walk(node))
                node.iter = _filter(cast("nodes.Expr", node.iter), GONE_THROUGH, nodes.Const(steps, lineno=node.lineno))
            case nodes.Compare():
                node.expr = _filter(node.expr, WEIGHED)
            case nodes.Operand():
                node.expr = _filter(node.expr, WEIGHED)
            case nodes.Getitem(arg=nodes.Slice()):
                node.node = _filter(node.node, WEIGHED)
            case _:
                pass
    return tree


def _filter(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    made = nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
    made.environment = node.environment
    for arg in args:
        arg.environment = node.environment
    return made


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    for child in tree.iter_child_nodes():
        yield from _walk(child)


def _refusal(node: nodes.Node) -> str:
    match node:
        case nodes.Getattr(attr=name) if name.startswith("__"):
            return f"the template reads .{name}, but values are plain data without attributes"
        case nodes.Getattr(node=nodes.Name(name="loop"), attr=name) if name not in LOOP:
            return f"a loop has no {name!r} (there are {', '.join(LOOP)})"
        case nodes.Call(node=nodes.Getattr(attr="items")):
            return "the template calls .items(), and prompts call nothing: write `value|items`"
        case nodes.Filter(node=inner, dyn_args=dynamic, dyn_kwargs=more) if inner is None or dynamic or more:
            return "the template has a filter block, or '*' or '**', which prompts can't use"
        case nodes.Getitem(node=nodes.Const()):
            return "the template takes a part of a constant: write the part"
        case nodes.For(recursive=True):
            return "the template has a recursive loop, which prompts can't use"
        case nodes.Name(ctx="store", name="loop"):
            return "the template takes the name 'loop', which is that of the loop itself"
        case nodes.List(items=items) | nodes.Tuple(items=items, ctx="load") if not _constants(items):
            return "the template makes a list of values, and lists are of constants only"
        case nodes.Tuple(items=items, ctx="store") if not all(isinstance(item, nodes.Name) for item in items):
            return "the template takes values apart more than once"
        case _:
            refused = not isinstance(node, _ALLOWED)
            return f"the template has a {type(node).__name__.lower()!r}, which prompts can't use" if refused else ""


def _constants(items: list[nodes.Expr]) -> bool:
    return all(isinstance(item, nodes.Const) for item in items)


def _nesting(tree: nodes.Node) -> list[str]:
    told: set[str] = set()

    def look(node: nodes.Node, blocks: int, loops: int, of_loop: bool) -> None:
        blocks += isinstance(node, nodes.If | nodes.For)
        loops += isinstance(node, nodes.For)
        if blocks > BLOCKS:
            told.add(f"the template has more than {BLOCKS} conditions and loops inside one another")
        if loops > LOOPS:
            told.add(f"the template has more than {LOOPS} loops inside one another")
        if isinstance(node, nodes.Name) and node.name == "loop" and node.ctx == "load" and not (of_loop and loops):
            told.add("the template uses 'loop' itself, and only what is in it can be used, inside a loop")
        for child in node.iter_child_nodes():
            look(child, blocks, loops, isinstance(node, nodes.Getattr))

    look(tree, 0, 0, of_loop=False)
    return sorted(told)
