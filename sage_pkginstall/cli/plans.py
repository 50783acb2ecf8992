"""How a plan and what became of it are printed."""

from __future__ import annotations

from sage_pkginstall.cli.terminal import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sage_pkginstall.operations.change import Outcome

__all__ = ["outcome_document", "plan_lines"]


def plan_lines(outcome: Outcome) -> Iterator[str]:
    """Yield one line an operation: its kind and path."""
    for operation in outcome.plan.operations:
        yield f"{operation.kind:6} {shown(operation.path)}"


def outcome_document(outcome: Outcome) -> dict[str, object]:
    """Return the outcome for ``--json``: operations, warnings, seconds of the lock."""
    operations = [{"do": o.kind, "path": o.path} for o in outcome.plan.operations]
    return {
        "operations": operations,
        "warnings": list(outcome.warnings),
        "waited": round(outcome.waited, 6),
        "held": round(outcome.held, 6),
    }
