"""`NamedTuple` as in `typing`, for classes that are made in every run.

`typing.NamedTuple` compiles each annotation, to look at it; the forty classes of values that
installing a wheel takes were a tenth of that.  Here annotations stay the text that
``from __future__ import annotations`` makes of them, and `collections.namedtuple` does the
rest.  `Protocol` is for annotations only.  For type checkers there is no difference.

So nothing here imports `typing` when it runs, which is a tenth of a short run, too: type
checkers know the name ``TYPE_CHECKING`` wherever it comes from.
"""

from __future__ import annotations

from collections import namedtuple

__all__ = ["NamedTuple", "Protocol"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Protocol
else:
    Protocol = object

    class _NamedTupleMaker(type):
        """Makes a tuple class of a class statement."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:  # NamedTuple itself
                return super().__new__(cls, name, bases, body)
            fields = body["__annotations__"]
            defaults = [body.pop(field) for field in fields if field in body]
            module = body.pop("__module__")
            made = namedtuple(name, fields, defaults=defaults, module=module)  # noqa: PYI024
            for attribute, value in body.items():
                setattr(made, attribute, value)
            return made

    class NamedTuple(metaclass=_NamedTupleMaker):
        """The base of a class statement that makes a tuple of its annotated fields."""
