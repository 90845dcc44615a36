"""Reports on keys: where they are stored, whether they work, and added keys."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from imagegen.display.text.formatting import command, project_command
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import STYLES, join_some, plural, sanitize
from imagegen.errors import Exit
from imagegen.keys.address import plaintext_warning
from imagegen.keys.keyring import DEFAULT_POOL, ApiKey, per_minute
from imagegen.keys.locations import FILE, KeyLocation, LocationKind
from imagegen.project.beat_status import Status
from imagegen.setup.add_key import AddResult
from imagegen.setup.check_keys import ConfiguredKeys, KeyCheck, Remedy
from imagegen.toml import did_you_mean

_MOST_MODELS: Final = 8
_ADVICE: Final = {
    Remedy.ADD_CREDIT: "add credit, and check again",
    Remedy.RAISE_CAP: "raise the spending cap, and check again",
    Remedy.ENABLE_BILLING: "enable billing for the key's project, or draw with another model",
    Remedy.WAIT: "wait, then check again",
    Remedy.OTHER_REGION: "use a region or an account in which the service is available",
    Remedy.NETWORK: "the keys may be fine: check the network and the URL, then try again",
}
_WHY: Final = {
    LocationKind.OPTION: "named by --keys",
    LocationKind.VARIABLE: "named by $IMAGEGEN_KEYS",
    LocationKind.PROJECT: "the project's own",
    LocationKind.USER: "yours, for every project without its own keys",
    LocationKind.ENVIRONMENT: "there is no keys file",
}


def as_json(keys: ConfiguredKeys) -> dict[str, object]:
    """Return what `keys list --json` prints: only the tails of keys."""
    users = keys.lists_by_key

    def described(name: str, key: ApiKey) -> dict[str, object]:
        return {
            "tail": key.secret.tail,
            "requests_per_minute": key.limit.per_minute,
            "requests_per_day": key.limit.per_day,
            "project": key.project,
            "shared_with": [other for other in users[key.secret] if other != name],
        }

    lists = {
        name: {
            "list": name if name in keys.ring.pools else DEFAULT_POOL if list_keys else None,
            "requests_per_minute": per_minute(list_keys),
            "keys": [
                described(name if name in keys.ring.pools else DEFAULT_POOL, k) for k in list_keys
            ],
            "unset": list(keys.ring.unset.get(name, ())),
        }
        for name, list_keys in keys.pools.items()
    }
    server = keys.ring.budget_server
    places = [
        {
            "named": place.named.value,
            "name": place.label,
            "exists": place.exists,
            "used": place is keys.used,
        }
        for place in keys.places
    ]
    return {
        "schema": 1,
        "provider": keys.provider,
        "source": keys.ring.source,
        "places": places,
        "styles": lists,
        "requests_per_minute": per_minute(_drawing(keys)),
        "budgets": server and {"server": server.name, "team": server.team},
        "warnings": list(keys.ring.warnings),
    }


def show_list(paper: Paper, keys: ConfiguredKeys, path: str) -> None:
    """Print which keys a project uses, why, and which other keys exist."""
    if not keys.needed:
        paper.line(f"{keys.provider} needs no keys.")
        return
    if keys.used is None:
        _no_keys(paper, keys, path)
        return
    paper.wrap("", f"Keys for {keys.provider}: {sanitize(keys.used.label)}, {_why(keys)}.")
    paper.line()
    for name, list_keys in keys.pools.items():
        _pool(paper, keys, name, list_keys)
    together = per_minute(_drawing(keys))
    paper.line()
    if together:
        paper.line(f"{plural(together, 'request')} per minute in total.")
    if server := keys.ring.budget_server:
        where = f"{sanitize(server.name)}, team {server.team}"
        paper.wrap("", f"Machines that use {where}, share these budgets.")
    _others(paper, keys)
    for warning in keys.ring.warnings:
        # Unset variables are shown next to their list.
        if "not set" not in warning:
            paper.wrap("  note: ", sanitize(warning))
    if not together:
        _next(paper, _add_command(keys, path), "asks for a key")
    else:
        _next(paper, project_command("keys check", path, *keys.named), "tests them; uses no quota")


def show_check(
    paper: Paper,
    keys: ConfiguredKeys,
    checks: Sequence[KeyCheck],
    model: str,
    notes: Sequence[str] = (),
) -> None:
    """Print whether each key works, and how to fix those that do not.

    `notes` are about the model.
    """
    source, address = sanitize(keys.ring.source or ""), keys.base_url()
    server = f", at {sanitize(address)}" if address else ""
    first = f"{plural(len(checks), 'key')} from {source}, to draw with {sanitize(model)}{server}:"
    paper.wrap("", first)
    paper.line()
    tails = max(len(check.tail) for check in checks)
    lists = max(len(", ".join(check.lists)) for check in checks)
    for check in checks:
        sign = paper.glyphs[Status.COMPLETE if check.is_usable else Status.ERROR]
        used_by = sanitize(", ".join(check.lists))
        head = f"  {sign} {check.tail:<{tails}}  {used_by:<{min(lists, 30)}}  "
        style = "" if check.is_usable else STYLES[Status.ERROR]
        paper.wrap(head, _said(check, model), indent=6 if len(head) > 30 else None, style=style)
    paper.line()
    for message, tails_of in _unreached(checks):
        paper.wrap("", f"Not reached ({', '.join(tails_of)}): {message}", indent=2)
    keyless = [f"{style} has no key" for style in keys.keyless]
    exposed = plaintext_warning(address)
    for note in (*keyless, *notes, *keys.ring.warnings, *([exposed] if exposed else [])):
        paper.wrap("  note: ", sanitize(note))
    bad = sum(not check.is_usable for check in checks)
    if not bad:
        together = plural(per_minute(_drawing(keys)), "request")
        verdict = "The key works" if len(checks) == 1 else f"All {len(checks)} keys work"
        paper.line(f"{verdict}: {together} per minute in total.")
        return
    unreached = sum(not check.was_reached for check in checks)
    paper.justify(_verdict(len(checks), bad, unreached), f"exit {int(Exit.USAGE)}")
    for advice in _advice(checks, model, source):
        paper.wrap("  ", advice)


def _advice(checks: Sequence[KeyCheck], model: str, source: str) -> Iterator[str]:
    """Yield what to do, once for all keys with the same problem."""
    tails: dict[Remedy, list[str]] = {}
    for check in checks:
        if not check.is_usable:
            tails.setdefault(check.remedy, []).append(check.tail)
    for remedy, key_tails in tails.items():
        which = f"{', '.join(key_tails)}: " if len(tails) > 1 else ""
        if remedy is Remedy.REPLACE:
            it = "it" if len(key_tails) == 1 else "them"
            yield f"{which}replace {it} in {source}, then check again"
        elif remedy is Remedy.OTHER_MODEL:
            yield which + _other_model(checks, model)
        else:
            yield which + _ADVICE[remedy]


def _other_model(checks: Sequence[KeyCheck], model: str) -> str:
    near = did_you_mean(model, dict.fromkeys(name for check in checks for name in check.models))
    return f"see model in imagegen.toml{sanitize(f'; {near}' if near else '')}"


def show_added(paper: Paper, added: AddResult, path: str) -> None:
    """Print where a key was saved, and how many keys its style has now."""
    aim, change = added.aim, added.change
    location, style, section = sanitize(aim.place.label), aim.style, aim.place.section
    place = f"{style} of {section.heading}" if section.table else style
    if change.already_present:
        paper.wrap("", f"{added.name} is already in {place} in {location}.")
        paper.line("  Nothing was changed. To change a key's limits, edit the file.")
    else:
        made = ", a new file" if change.created else ""
        paper.wrap("", f"Added {added.name} to {place} in {location}{made}.")
    if change.permissions_tightened:
        paper.line("  Other users could read the file; now only you can.")
    list_keys = change.ring.pool(style)
    keys, minute = plural(len(list_keys), "key"), plural(per_minute(list_keys), "request")
    now = "" if change.already_present else "now "
    pool = f"{style} {now}has"
    if style == DEFAULT_POOL:
        pool = f"styles without their own keys {now}have"
    paper.line(f"  {pool} {keys}, {minute} per minute")
    for note in added.notes:
        paper.wrap("  note: ", sanitize(note, 1000))
    _next(paper, project_command("keys check", path, *aim.named), "tests it; uses no quota")


def _no_keys(paper: Paper, keys: ConfiguredKeys, path: str) -> None:
    paper.line(f"No key for {keys.provider} found. Searched, in this order:")
    paper.line()
    width = max(len(place.label) for place in keys.places)
    for place in keys.places:
        missing = "not set" if place.path is None else "no such file"
        if place.lacks_section:
            missing = f"has no {place.section.table or keys.provider}"
        paper.wrap(f"  {sanitize(place.label):<{width}}  ", missing)
    paper.line()
    paper.command_list(
        (
            command("imagegen", "keys", "add", DEFAULT_POOL, *keys.named),
            "one key, for every project",
        ),
        (_to_project(keys, path), "only for this project"),
    )


def _pool(paper: Paper, keys: ConfiguredKeys, name: str, list_keys: Sequence[ApiKey]) -> None:
    ring = keys.ring
    unset = ring.unset.get(name, ()) if name in ring.pools else ()
    count = (
        f"{plural(len(list_keys), 'key')}, {plural(per_minute(list_keys), 'request')} per minute"
    )
    if name in keys.using_default:
        paper.line(f"  {name}: the default {'key' if len(list_keys) == 1 else 'keys'}, see below")
        return
    head = sanitize(name)
    if name == DEFAULT_POOL:
        head = "default (for styles without their own keys)"
    elif name not in keys.styles:
        head += " (not a style of this project)"
    paper.line(f"  {head}: {count if list_keys else 'no key'}")
    users, tails = keys.lists_by_key, max((len(key.secret.tail) for key in list_keys), default=0)
    for key in list_keys:
        words = [f"{key.limit.per_minute:,} a minute"]
        if key.limit.per_day is not None:
            words.append(f"{key.limit.per_day:,} a day")
        if key.project:
            words.append(f'project "{sanitize(key.project)}"')
        other_lists = [other for other in users[key.secret] if other != name]
        if other_lists:
            words.append(f"shared with {sanitize(', '.join(other_lists))}")
        paper.wrap(f"    {key.secret.tail:<{tails}}  ", ", ".join(words))
    for variable in unset:
        paper.line(f"    env:{sanitize(variable)} is not set")


def _others(paper: Paper, keys: ConfiguredKeys) -> None:
    """Print other places that have keys, which are not used."""
    unused_places = [
        place
        for place in keys.places
        if place.exists and not place.lacks_section and place is not keys.used
    ]
    if not unused_places:
        return
    paper.line()
    paper.wrap("", "Also found, but not used, because the first place with keys wins:")
    for place in unused_places:
        paper.line(f"  {sanitize(place.label)}{_kind(place)}")


def _kind(place: KeyLocation) -> str:
    kinds = {
        LocationKind.VARIABLE: "  (named by $IMAGEGEN_KEYS)",
        LocationKind.PROJECT: "  (the project's)",
        LocationKind.USER: "  (yours)",
    }
    return kinds.get(place.named, "")


def _why(keys: ConfiguredKeys) -> str:
    return _WHY[keys.used.named] if keys.used else ""


def _drawing(keys: ConfiguredKeys) -> list[ApiKey]:
    """Return the keys of all styles that are drawn."""
    return list(itertools.chain.from_iterable(keys.ring.pool(style) for style in keys.styles))


def _said(check: KeyCheck, model: str) -> str:
    models = [sanitize(name, 60) for name in check.models if name != model]
    listed = join_some(models, _MOST_MODELS)
    if check.fault is not None:
        if not check.was_reached:
            return f"not reached [{check.remedy.value}]"
        return sanitize(f"{check.fault.kind.value}: {check.fault.message} [{check.remedy.value}]")
    if check.is_usable:
        return f"works; sees {listed} too" if listed else "works"
    problem = f"does not see {sanitize(model)}, only {listed}" if listed else "sees no image model"
    return f"{problem} [{check.remedy.value}]"


def _unreached(checks: Sequence[KeyCheck]) -> list[tuple[str, list[str]]]:
    """Return each connection error once, with the keys that had it."""
    grouped: dict[str, list[str]] = {}
    for check in checks:
        if check.fault is not None and not check.was_reached:
            grouped.setdefault(sanitize(check.fault.message), []).append(check.tail)
    return list(grouped.items())


def _verdict(count: int, bad: int, unreached: int) -> str:
    if unreached == count:
        return "No key could be tested."
    if count == 1:
        return "The key does not work."
    return f"{bad} of {count} keys do not work."


def _to_project(keys: ConfiguredKeys, path: str) -> str:
    """Return the command that adds a key to the project's file."""
    root = f"./{path}" if path.startswith("-") else path or "."
    return command("imagegen", "keys", "add", DEFAULT_POOL, "--project", root, *keys.named)


def _add_command(keys: ConfiguredKeys, path: str) -> str:
    """Return the command that adds a key to the file in use, or else to the user's."""
    if keys.used is not None and keys.used.path == keys.root / FILE:
        return _to_project(keys, path)
    return command("imagegen", "keys", "add", DEFAULT_POOL, *keys.named)


def _next(paper: Paper, next_command: str, does: str) -> None:
    paper.line()
    paper.command_list((next_command, does))
