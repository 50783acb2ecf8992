"""Make a plan: compare a staged tree, what it replaces, and the prefix.

Nothing of the prefix is changed here.  What cannot be done is refused, before the journal
exists; what the user should know becomes a notice of the plan.
"""

from __future__ import annotations

from sage_pkginstall.engine.arrivals import Arrivals
from sage_pkginstall.engine.ground import Ground
from sage_pkginstall.engine.plan import Plan
from sage_pkginstall.engine.removals import Removals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sage_pkginstall.engine.plan import PlanRequest
    from sage_pkginstall.engine.workspace import Workspace

__all__ = ["make_plan"]


def make_plan(workspace: Workspace, request: PlanRequest, *, exchange: bool) -> Plan:
    """Plan how the staged tree of ``workspace`` comes into the prefix.

    ``exchange`` tells whether the file system of the prefix can exchange entries; others in
    it are asked.  Raises `ConflictError` for what is refused, `OSError` for what cannot be read.
    """
    ground = Ground(workspace, request)
    arrivals = _arrivals(ground, exchange=exchange)
    if ground.led_to:  # known only now; what was planned before may move such a directory
        ground = Ground(workspace, request, ground.led_to)
        arrivals = _arrivals(ground, exchange=exchange)
    removals = Removals(ground, arrivals)
    removals.remove_replaced()
    # New first, then old.
    incoming = sorted(arrivals.operations, key=lambda o: request.rank(o.path))
    outgoing = sorted(removals.operations, key=lambda o: -request.rank(o.path))
    return Plan(
        tuple(incoming + outgoing + removals.prunes()),
        tuple(arrivals.notices + removals.notices),
        tuple(ground.evidence.values()),
        request.replaced,
    )


def _arrivals(ground: Ground, *, exchange: bool) -> Arrivals:
    arrivals = Arrivals(ground, exchange=exchange)
    arrivals.merge(ground.workspace.tree, "")
    return arrivals
