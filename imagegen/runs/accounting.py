"""The ledger of the user's spending, as a run needs it: opened, with all limits that count."""

import contextlib
from collections.abc import Callable, Iterator

from imagegen.clock import Clock
from imagegen.errors import UsageError, encodable
from imagegen.paths import state_folder
from imagegen.project import settings
from imagegen.spending.account import Reservations, RunAccount, not_recorded
from imagegen.spending.ledger import LedgerError, SpendingLedger
from imagegen.spending.limits import Limit, dollars, limits_of, micros
from imagegen.times import day
from imagegen.workspace.project import Project


def limits(project: Project) -> tuple[Limit, ...]:
    """Return all limits that runs of a project keep to: the user's, and its own."""
    project_limits = limits_of(
        project.settings.spending,
        file=str(project.layout.typed / settings.FILE),
        project=_folder(project),
    )
    return (*project.ring.limits, *project_limits) if is_paid(project) else ()


def _folder(project: Project) -> str:
    """Return the project's folder as the ledger has it, which is text in UTF-8."""
    return encodable(str(project.root.resolve()))


def is_paid(project: Project) -> bool:
    """Return whether images of the project's provider cost anything, as far as is known."""
    price = project.price
    return price is None or price.tokens is not None or price.picture != 0


def notes(project: Project, highest: float | None, clock: Clock) -> Iterator[str]:
    """Yield which limits would end a run that costs so much at most, in US dollars."""
    run_limits = limits(project)
    if not run_limits or highest is None:
        return
    warnings: list[str] = []
    try:
        ledger = _shared(SpendingLedger(state_folder()), project, clock, warnings.append)
        with contextlib.closing(ledger):
            today = day(clock.wall())
            spent = {limit: ledger.spent(limit, today) for limit in run_limits}
    except LedgerError as error:
        yield str(error)
        return
    for limit, used in spent.items():
        left = max(0, limit.most - used)
        if micros(highest) > left:
            yield f"the run ends early: ${dollars(left):,.2f} is left of {limit.shown}"


def _shared(
    ledger: SpendingLedger, project: Project, clock: Clock, warn: Callable[[str], None]
) -> Reservations:
    """Return the ledger, with limits that are counted on the team's server if there is one."""
    server = project.ring.budget_server
    if server is None:
        return ledger
    # An extra, and slow to import; the budgets on that server need it too.
    from imagegen.quota.shared_spending import SharedSpending  # noqa: PLC0415

    return SharedSpending(ledger, server, now=clock.now, warn=warn)


def open_account(project: Project, clock: Clock, warn: Callable[[str], None]) -> RunAccount | None:
    """Open the ledger for a run; None if the run costs nothing.

    A ledger that cannot be used is one warning, and None; raises `UsageError` if there are limits,
    which could not be kept without it.
    """
    if not is_paid(project):
        return None
    run_limits = limits(project)
    try:
        ledger = SpendingLedger(state_folder())
    except LedgerError as error:
        if run_limits:
            hint = f"{run_limits[0].shown} cannot be kept without it"
            raise UsageError(f"nothing was sent: {error}", hint=hint) from error
        warn(not_recorded(error))
        return None
    return RunAccount(
        _shared(ledger, project, clock, warn),
        project=_folder(project),
        provider=project.settings.provider,
        model=project.model,
        limits=run_limits,
        clock=clock,
        warn=warn,
    )
