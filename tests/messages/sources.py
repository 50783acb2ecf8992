"""What the sources can say: the messages that they raise, warn of and print, as templates.

A template is the text with a hole for each value.  What an error adds to its reason comes
from the class (``cannot build {source}: …``); what a name stands for from its assignments,
or, if it is an argument, from the calls in the same file; what a function returns from there.
A reason that is handed over from elsewhere, a system's or a library's, stays a hole.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["HOLE", "templates"]

HOLE = "\0"
"""Stands in a template for what differs."""

_BASE = "PkgInstallError"
_ELSEWHERE = {
    "RefusalError": "cannot install \0: ",  # translated where the wheel is known
    "UnknownInputError": "Built without looking into the cache: \0",  # it is told as the reason
}
_WARNING = ("warn", "_warn")
_FINDING = ("warning", "error")  # of doctor: the text, and the remedy, which the page words itself
_COLLECTED = "warnings"
_DEPTH = 3


@dataclass
class _Sources:
    """All modules, and the errors that they define: the base class of each, its initializer."""

    modules: dict[Path, ast.Module]
    bases: dict[str, str] = field(default_factory=dict)
    initializers: dict[str, ast.FunctionDef] = field(default_factory=dict)

    @classmethod
    def read(cls) -> _Sources:
        paths = sorted((ROOT / "sage_pkginstall").rglob("*.py"))
        sources = cls({path: ast.parse(path.read_text()) for path in paths})
        for module in sources.modules.values():
            for node in ast.walk(module):
                if isinstance(node, ast.ClassDef) and node.bases:
                    sources.bases[node.name] = ast.unparse(node.bases[0])
                    for member in node.body:
                        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
                            sources.initializers[node.name] = member
        return sources

    def initializer(self, error: str) -> ast.FunctionDef | None:
        while error not in self.initializers and error in self.bases:
            error = self.bases[error]
        return self.initializers.get(error)

    def is_ours(self, error: str) -> bool:
        while error in self.bases and error != _BASE:
            error = self.bases[error]
        return error == _BASE


def templates() -> dict[str, str]:
    """Return each template with the place in the sources that it comes from."""
    sources = _Sources.read()
    found: dict[str, str] = {}
    for path, module in sources.modules.items():
        functions = {n.name: n for n in ast.walk(module) if isinstance(n, ast.FunctionDef)}
        scopes: list[ast.Module | ast.FunctionDef] = [module, *functions.values()]
        for scope in scopes:
            for node in _own(scope):
                for text in _said(node, _Scope(sources, functions, scope)):
                    found.setdefault(text, f"{path.relative_to(ROOT)}:{node.lineno}")
    return {text: place for text, place in found.items() if len(re.findall(r"\w+", text)) > 1}


@dataclass(frozen=True)
class _Scope:
    """Where a message stands."""

    sources: _Sources
    functions: dict[str, ast.FunctionDef]  # of this file
    body: ast.Module | ast.FunctionDef

    def of(self, function: ast.FunctionDef) -> _Scope:
        return _Scope(self.sources, self.functions, function)

    def given(self, number: int) -> Iterator[ast.expr]:
        """Yield what calls in this file give as one of the arguments of the function."""
        name = getattr(self.body, "name", "")
        for function in () if name == "__init__" else self.functions.values():
            for node in _own(function):
                if isinstance(node, ast.Call) and _name(node.func) == name:
                    yield from node.args[number : number + 1]


@cache
def _own(scope: ast.AST) -> tuple[ast.expr | ast.stmt, ...]:
    """Return what stands in a function or module, outside of functions within."""
    return tuple(_walk(scope))


def _walk(scope: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.expr | ast.stmt):
            yield node
        if not isinstance(node, ast.FunctionDef):
            yield from _walk(node)


def _said(node: ast.AST, scope: _Scope) -> Iterator[str]:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        yield from _raised(node.exc, scope)
    elif isinstance(node, ast.Call) and node.args:
        name = _name(node.func)
        method = isinstance(node.func, ast.Attribute)
        if name in _WARNING or (name in ("append", "extend") and _owner(node) == _COLLECTED):
            yield from (f"Warning: {text}" for text in _texts(node.args[0], scope))
        elif (name in _FINDING and not method) or (
            name == "print" and any(k.arg == "file" for k in node.keywords)
        ):
            yield from _texts(node.args[0], scope)


def _raised(call: ast.Call, scope: _Scope) -> Iterator[str]:
    error = _name(call.func)
    if error in _ELSEWHERE:
        said = _ELSEWHERE[error]
        reasons = [""] if said.endswith(HOLE) else _texts(call.args[-1], scope)
        yield from (f"{said}{reason}" for reason in reasons)
    elif error in scope.functions:
        for node in ast.walk(scope.functions[error]):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
                yield from _raised(node.value, scope.of(scope.functions[error]))
    elif scope.sources.is_ours(error):
        initializer = scope.sources.initializer(error)
        if initializer is None:
            yield from _texts(call.args[0], scope)
        else:
            yield from _filled(initializer, call, scope)


def _filled(initializer: ast.FunctionDef, call: ast.Call, scope: _Scope) -> Iterator[str]:
    """Yield what the initializer of an error makes of the arguments of a call."""
    names = [argument.arg for argument in initializer.args.args[1:]]
    given = dict(zip(names, call.args, strict=False))
    given.update({k.arg: k.value for k in call.keywords if k.arg})
    for node in ast.walk(initializer):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__":
            for text in _texts(node.args[0], scope.of(initializer)):
                marked = _texts_with(node.args[0], "reason")
                if "reason" in given and marked:
                    for reason in _texts(given["reason"], scope):
                        yield marked.replace("\1", reason)
                else:
                    yield text


def _texts_with(node: ast.expr, name: str) -> str | None:
    """Return a template whose hole for ``name`` is marked, if it has that."""
    if not isinstance(node, ast.JoinedStr):
        return None
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
        else:
            named = isinstance(part, ast.FormattedValue) and ast.unparse(part.value) == name
            parts.append("\1" if named else HOLE)
    text = "".join(parts)
    return text if "\1" in text else None


def _texts(  # noqa: C901, PLR0911 -- one case for each kind of expression
    node: ast.expr, scope: _Scope, depth: int = _DEPTH
) -> list[str]:
    """Return all that an expression can be, a hole for what cannot be told."""

    def deeper(part: ast.expr) -> list[str]:
        return _texts(part, scope, depth)

    def follow(part: ast.expr, place: _Scope) -> list[str]:
        return _texts(part, place, depth - 1) if depth else [HOLE]

    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.JoinedStr(values=parts):
            return _joined([deeper(part) for part in parts])
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            return deeper(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined([deeper(left), deeper(right)])
        case ast.IfExp(body=one, orelse=other):
            return [*deeper(one), *deeper(other)]
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return deeper(element)
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [text for element in elements for text in deeper(element)]
        case ast.Name(id=name):
            return [t for v in _assigned(name, scope) for t in follow(v, scope)] or [HOLE]
        case ast.Call(func=ast.Name(id=name)) if name in scope.functions:
            function = scope.functions[name]
            inner = scope.of(function)
            return [
                text
                for found in _own(function)
                if isinstance(found, ast.Return | ast.Yield) and found.value
                for text in follow(found.value, inner)
            ] or [HOLE]
    return [HOLE]


def _joined(parts: list[list[str]]) -> list[str]:
    found = [""]
    for part in parts:
        found = [f"{before}{text}" for before in found for text in part]
    return found


def _assigned(name: str, scope: _Scope) -> Iterator[ast.expr]:
    for node in _own(scope.body):
        if isinstance(node, ast.Assign) and name in map(_name, node.targets):
            yield node.value
    if isinstance(scope.body, ast.FunctionDef):
        arguments = [a.arg for a in scope.body.args.args if a.arg != "self"]
        if name in arguments:
            yield from scope.given(arguments.index(name))


def _name(node: ast.expr) -> str:
    return str(getattr(node, "attr", None) or getattr(node, "id", ""))


def _owner(call: ast.Call) -> str:
    return _name(call.func.value) if isinstance(call.func, ast.Attribute) else ""
