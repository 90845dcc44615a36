"""What a run would draw, how long it would take and what it would cost."""

from collections.abc import Mapping, Sequence

import msgspec

from imagegen.display.reports import characters
from imagegen.display.text import size_hint
from imagegen.display.text.formatting import money
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import duration, plural, sanitize
from imagegen.engine.estimate import Estimate
from imagegen.prompts.appearances import Appearance
from imagegen.workspace.plan import Plan, Planned


def show(
    paper: Paper, plan: Plan, name: str, estimate: Estimate, appear: Sequence[Appearance] = ()
) -> None:
    """Print what a run would draw, style by style, and its minimum time.

    `appear` are the project's characters, each with the beats that name it.
    """
    exist = plan.total - plan.to_draw - plan.reused - plan.waived - plan.blocked
    also = f", {exist:,} {'exists' if exist == 1 else 'exist'}" if exist else ""
    of = f", shard {sanitize(plan.shard)}" if plan.shard else ""
    paper.line(f"{sanitize(name)}{of}: {plural(plan.to_draw, 'image')} would be drawn{also}.")
    paper.line()
    styles = {style: beats for style, beats in plan.styles.items() if beats}
    width = max(map(len, styles), default=0)
    # The time is known if any style is sent at a known rate.
    timed = any(
        _least(estimate, style) != "unknown"
        for style, beats in styles.items()
        if any(planned.draw for planned in beats)
    )
    paper.line(f"  {'':<{width}}  to draw   exist{'  at least' if timed else ''}")
    for style, beats in styles.items():
        drawn = sum(planned.draw for planned in beats)
        exist = sum(planned.exists for planned in beats)
        least = f"  {_least(estimate, style) if drawn else '':>8}" if timed else ""
        paper.line(f"  {style:<{width}}  {drawn:>7,}  {exist:>6,}{least}")
    if plan.again:
        paper.line(f"  {plan.again:,} of them exist; the old images are kept in old_images/")
    if plan.reused:
        paper.line(f"  {plan.reused:,} reused at no cost: drawn before from the same inputs")
    if plan.placeholders:
        drawn_over = plural(plan.placeholders, "placeholder")
        paper.line(f"  {drawn_over} would be replaced; they are kept in old_images/")
    outdated = plan.outdated.total()
    if outdated:
        are = "is" if outdated == 1 else "are"
        paper.line(f"  {plural(outdated, 'image')} {are} outdated and kept: redraw with --outdated")
    if plan.unselected_count:
        paper.line(
            f"  {plural(plan.unselected_count, 'other image')} of the project would not be drawn"
        )
    _requests(paper, styles, estimate)
    if plan.blocked:
        paper.line(f"  {plural(plan.blocked, 'beat')} cannot be drawn: the image before is missing")
    characters.show(paper, appear)
    _notes(paper, estimate)


def _notes(paper: Paper, estimate: Estimate) -> None:
    hint = (
        size_hint.size_hint(estimate.image_size, estimate.aspect_ratio) if estimate.cost else None
    )
    if hint:
        paper.wrap("  ", hint, indent=4)
    for note in estimate.notes:
        paper.wrap("  note: ", sanitize(note))


def _requests(paper: Paper, styles: Mapping[str, Sequence[Planned]], estimate: Estimate) -> None:
    """Print requests, time and cost, also if there is no key."""
    counts = {style: sum(p.draw for p in beats) for style, beats in styles.items()}
    able = {s: n for s, n in counts.items() if n and _can_be_drawn(estimate, s)}
    unable = {s: n for s, n in counts.items() if n and s not in able}
    if not able and not unable:
        return
    paper.line()
    # Without a key the time is unknown, except for the example keys below.
    timed = estimate if able else msgspec.structs.replace(estimate, answer_seconds=None)
    paper.line(f"  {_in_all(sum((able or unable).values()), timed, paper.glyphs.dot)}")
    if able:
        for style in unable:
            paper.line(f"  {style} cannot be drawn: no key; add one to keys.toml under [keys]")
    supposed = estimate.supposed
    if supposed is not None:
        seconds = supposed.seconds + (estimate.answer_seconds or 0.0)
        at_least = [f"at least {duration(seconds)}"] if seconds else []
        answer = [] if estimate.answer_seconds is not None else ["one answer's time"]
        head = "with" if able else "no key yet; with"
        keys = f"{supposed.keys} keys of {supposed.per_minute} a minute"
        paper.line(f"  {head} {keys}: {', and '.join(at_least + answer)}")


def _can_be_drawn(estimate: Estimate, style: str) -> bool:
    has_forecast = estimate.last_send_seconds.get(style) is not None
    return has_forecast or estimate.keys is None or bool(estimate.keys.get(style))


def _least(estimate: Estimate, style: str) -> str:
    departure = estimate.last_send_seconds.get(style)
    if departure is not None:
        whole = departure + (estimate.answer_seconds or 0.0)
        return duration(whole) if whole else plural(estimate.longest_chain, "answer")
    if estimate.keys is None:
        return "unknown"
    return "not today" if estimate.keys.get(style) else "no key"


def _in_all(requests: int, estimate: Estimate, dot: str) -> str:
    parts = [plural(requests, "request")]
    departures = [at for at in estimate.last_send_seconds.values() if at is not None]
    longest = max(departures, default=0.0) + (estimate.answer_seconds or 0.0)
    chain = estimate.longest_chain
    if longest:
        limits = " at the keys' limits" if estimate.keys is not None else ""
        answers = "one answer's time" if chain < 2 else f"{chain} answers' time, in sequence"
        answer = "" if estimate.answer_seconds is not None else f", and {answers}"
        parts.append(f"at least {duration(longest)}{limits}{answer}")
    elif departures:
        parts.append(f"as long as {plural(chain, 'answer')} {'takes' if chain < 2 else 'take'}")
    if estimate.price:
        thoughts = estimate.thoughts_price
        more = f", plus thinking at ${thoughts:.2f} per million tokens" if thoughts else ""
        parts.append(f"about {money(estimate.price * requests)}{more}")
    elif estimate.price is None:
        parts.append("cost unknown")
    return f" {dot} ".join(parts)
