"""What stopped a command before it began, and what to do about it."""

from collections.abc import Sequence
from typing import Final

from imagegen.display.paper import Paper
from imagegen.display.text import clean, plural
from imagegen.display.words import on_project
from imagegen.errors import ImagegenError, InputFault, InputFaultsError

_SHOWN: Final = 20


def show(paper: Paper, error: ImagegenError, project: str) -> None:
    """Say what went wrong and what to do. `project` is the folder as it was typed."""
    if isinstance(error, InputFaultsError):
        _input_faults(paper, error, project)
        return
    first, *rest = error.message.split("\n")
    paper.wrapped("imagegen: ", clean(first, 2000), indent=2)
    for line in rest:
        paper.wrapped("  ", clean(line, 2000), indent=4)
    if error.hint:
        paper.wrapped("  ", clean(error.hint, 2000))


def _input_faults(paper: Paper, error: InputFaultsError, project: str) -> None:
    shown = 0
    by_file: dict[str, list[InputFault]] = {}
    for fault in error.faults:
        by_file.setdefault(fault.file, []).append(fault)
    # Few are not hidden behind the many of another file.
    for file, own in sorted(by_file.items(), key=lambda item: (len(item[1]), item[0])):
        faults = sorted(own, key=lambda fault: fault.row or 0)
        rows = error.rows.get(file)
        among = f" in {plural(rows, 'row')}" if rows else ""
        paper.line(
            f"{clean(file)}: {plural(len(faults), 'fault')}{among}. Nothing was drawn or changed."
        )
        paper.line()
        part = faults[: max(0, _SHOWN - shown)]
        _lines(paper, part)
        shown += len(part)
        if len(part) < len(faults):
            paper.line(f"  … and {len(faults) - len(part):,} more")
        paper.line()
    if error.hint:
        paper.ends(clean(error.hint, 2000), f"exit {int(error.exit_code)}")
        return
    them = "it" if len(error.faults) == 1 else "them"
    check = on_project("check", project)
    paper.ends(f"Mend {them}, then try without drawing:  {check}", f"exit {int(error.exit_code)}")


def _place(fault: InputFault) -> str:
    """Say where in its file a fault is: rows are those with data, an editor counts lines."""
    line = f"line {fault.line}" if fault.line else ""
    if not fault.row:
        return line
    return f"row {fault.row} ({line})" if line else f"row {fault.row}"


def _lines(paper: Paper, faults: Sequence[InputFault]) -> None:
    places = list(map(_place, faults))
    first = max(map(len, places), default=0)
    second = max((len(fault.field or "") for fault in faults), default=0)
    for place, fault in zip(places, faults, strict=True):
        columns = [f"{place:<{first}}", f"{clean(fault.field or ''):<{second}}"]
        head = "".join(f"  {column}" for column in columns if column) + "  "
        paper.wrapped(head, clean(fault.message))
        if fault.hint:
            paper.wrapped(" " * len(head), clean(fault.hint))
