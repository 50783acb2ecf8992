"""How a plan and what became of it are printed."""

from __future__ import annotations

from sage_pkginstall.cli.terminal import shown, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sage_pkginstall.cli.target import Talk
    from sage_pkginstall.operations.change import Outcome

__all__ = ["outcome_document", "plan_lines", "tell_operations"]


def plan_lines(outcome: Outcome) -> Iterator[str]:
    """Yield one line an operation: its kind and path."""
    for operation in outcome.plan.operations:
        yield f"{operation.kind:6} {shown(operation.path)}"


def tell_operations(outcome: Outcome, talk: Talk) -> None:
    """Say, to who wants to hear more, what was done to the prefix, and how long that took."""
    if talk.verbose:
        for line in plan_lines(outcome):
            talk.say(line)
        waited, held = time_text(outcome.waited), time_text(outcome.held)
        talk.say(f"waited {waited} for the lock, held it for {held}")


def outcome_document(outcome: Outcome) -> dict[str, object]:
    """Return the outcome for ``--json``: operations, warnings, seconds of the lock."""
    operations = [{"do": o.kind, "path": o.path} for o in outcome.plan.operations]
    return {
        "operations": operations,
        "warnings": list(outcome.warnings),
        "waited": round(outcome.waited, 6),
        "held": round(outcome.held, 6),
    }
