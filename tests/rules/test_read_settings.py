"""No dead knobs: every key that a settings class declares is read by the program, from an object of that class."""

import ast
import collections.abc
import dataclasses
import functools
import pathlib
import re

from tests.fakes_tree import statements, tree

ROOT = pathlib.Path(__file__).parents[2]
MODEL = "BaseModel"
"""Pydantic's own, from which every settings class comes."""
RAW = {
    ("ExistingStack", "stack"): "account.stack_outputs puts the stack's outputs in its place",
    ("SettingsFile", "local"): "a profile's section, which a run against other servers leaves alone",
    ("WorkloadSettings", "preset"): "its figures are put in its place",
    ("Workloads", "models"): "settings.models takes the list apart",
    ("_ProfileFile", "workloads"): "settings.models parses it",
}
"""Keys that are taken from a file's data before there is an object, and who does so."""
_LEAVES = (ast.Constant, ast.Name, ast.expr_context, ast.operator, ast.cmpop)
"""Most of the nodes; nothing of these is asked."""


@functools.cache
def _modules() -> tuple[pathlib.Path, ...]:
    below = (path for name in ("optimal_tp", "infra", "workloads") for path in (ROOT / name).rglob("*.py"))
    return (ROOT / "__main__.py", *sorted(below))


def _bases(node: ast.ClassDef) -> set[str]:
    return {base.attr if isinstance(base, ast.Attribute) else ast.unparse(base) for base in node.bases}


@functools.cache
def settings_classes() -> dict[str, ast.ClassDef]:
    """Return every class of the program that comes from pydantic's, also by way of others, by name."""
    classes = [node for path in _modules() for node in statements(path) if isinstance(node, ast.ClassDef)]
    every = [(node, _bases(node)) for node in classes]
    found: dict[str, ast.ClassDef] = {}
    while more := [node for node, bases in every if node.name not in found and bases & {MODEL, *found}]:
        found |= {node.name: node for node in more}
    return found


def keys(node: ast.ClassDef) -> collections.abc.Iterator[str]:
    """Yield the keys that the class itself declares."""
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id


@dataclasses.dataclass
class Names:
    """What the names in some code stand for, as far as it can be seen without running it."""

    told: list[tuple[str, frozenset[str]]] = dataclasses.field(default_factory=list)
    """A name, and the words of its annotation."""
    bound: list[tuple[str, frozenset[str]]] = dataclasses.field(default_factory=list)
    """A name, and the names whose value or part it may be."""
    read: list[tuple[frozenset[str], str]] = dataclasses.field(default_factory=list)
    """The names that may stand for an object, and the attribute that is read from it."""

    def of(self, kinds: collections.abc.Set[str], known: collections.abc.Set[str]) -> set[str]:
        """Return the names that may stand for an object of ``kinds``, or for one of the names in ``known``."""
        found = {*known, *(name for name, words in self.told if words & kinds)}
        while more := {name for name, sources in self.bound if sources & found} - found:
            found |= more
        return found


def _sources(value: ast.AST, own: str) -> collections.abc.Iterator[str]:
    """Yield the last name of whatever an expression may give, or give a part of; ``self`` is the class ``own``."""
    match value:
        case ast.Name(id="self" | "cls"):
            yield own
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
        case ast.Call(func=made, args=given):
            for part in (made, *given):
                yield from _sources(part, own)
        case ast.Subscript(value=part) | ast.Starred(value=part) | ast.Await(value=part):
            yield from _sources(part, own)
        case ast.NamedExpr(value=part) | ast.ListComp(elt=part) | ast.SetComp(elt=part) | ast.GeneratorExp(elt=part):
            yield from _sources(part, own)
        case ast.IfExp(body=part, orelse=other):
            yield from (*_sources(part, own), *_sources(other, own))
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Dict(values=parts):
            for part in parts:
                yield from _sources(part, own)


def _words(annotation: ast.AST | None) -> frozenset[str]:
    return frozenset() if annotation is None else frozenset(re.findall(r"\w+", ast.unparse(annotation)))


def _bind(target: ast.AST, value: ast.AST, own: str) -> collections.abc.Iterator[tuple[str, frozenset[str]]]:
    """Yield each name of ``target`` with what it may come from; places of two tuples belong together."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, part in zip(target.elts, value.elts, strict=True):
            yield from _bind(one, part, own)
    elif isinstance(target, (ast.Tuple, ast.Starred)):
        for one in target.elts if isinstance(target, ast.Tuple) else [target.value]:
            yield from _bind(one, value, own)
    elif isinstance(target, (ast.Name, ast.Attribute)):
        name = target.id if isinstance(target, ast.Name) else target.attr
        yield name, frozenset(_sources(value, own))


def _gather(node: ast.AST, own: str, local: Names, everywhere: Names) -> None:
    """Put what stands in ``node``, in the class ``own`` if in any, into ``local``; fields and functions elsewhere."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _LEAVES):
            continue
        match child:
            case ast.FunctionDef(name=name, returns=kind) | ast.AsyncFunctionDef(name=name, returns=kind):
                everywhere.told.append((name, _words(kind)))
            case ast.arg(arg=name, annotation=kind):
                local.told.append((name, _words(kind)))
            case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name), annotation=kind):
                (everywhere if isinstance(node, ast.ClassDef) else local).told.append((name, _words(kind)))
            case ast.Assign(targets=targets, value=value):
                local.bound += (each for target in targets for each in _bind(target, value, own))
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                local.bound += _bind(target, value, own)
            case ast.NamedExpr(target=target, value=value):
                local.bound += _bind(target, value, own)
            case ast.Attribute(value=value, attr=name, ctx=ast.Load()):
                local.read.append((frozenset(_sources(value, own)), name))
        _gather(child, child.name if isinstance(child, ast.ClassDef) else own, local, everywhere)


def _read(classes: collections.abc.Mapping[str, ast.ClassDef]) -> set[tuple[str, str]]:
    """Return the class and the name of every attribute that is read from an object of one of ``classes``."""
    everywhere = Names()
    modules = [(Names(), tree(path)) for path in _modules()]
    for module, code in modules:
        _gather(code, "", module, everywhere)
    found: set[tuple[str, str]] = set()
    for name in classes:
        kinds = {name}
        while more := {each for each, node in classes.items() if _bases(node) & kinds} - kinds:
            kinds |= more
        known = everywhere.of(kinds, kinds)
        for module, _ in modules:
            own = module.of(kinds, known)
            found |= {(name, key) for sources, key in module.read if sources & own}
    return found


def test_the_settings_classes_are_found() -> None:
    """The sections of a stack file and of a local profile are among them."""
    assert {"InfraSettings", "WorkloadSettings", "Serving", "LoadTestSettings", "Spend", "LocalSettings"} <= set(
        settings_classes()
    )


def test_every_key_is_read() -> None:
    """A key that nothing reads is a promise to the user that nobody keeps."""
    declared = {(name, key) for name, node in settings_classes().items() for key in keys(node)}

    assert declared - _read(settings_classes()) == set(RAW)


def test_a_key_of_another_class_does_not_count() -> None:
    """A dead key is found though another class has one of its name that is read."""
    code = """
class Load(BaseModel):
    seconds: float
    dead: float
class Other(BaseModel):
    dead: float
def use(load: Load, others: list[Other]) -> float:
    return load.seconds + sum(each.dead for each in others)
"""
    module, names = ast.parse(code), Names()
    everywhere = Names()
    _gather(module, "", names, everywhere)
    read = {
        kind: {key for sources, key in names.read if sources & names.of({kind}, everywhere.of({kind}, {kind}))}
        for kind in ("Load", "Other")
    }

    assert read == {"Load": {"seconds"}, "Other": {"dead"}}
