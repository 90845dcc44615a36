"""Checks and warnings before anything is sent."""

from collections import Counter
from collections.abc import Iterator

from imagegen import paths
from imagegen.errors import UsageError
from imagegen.keys import locations
from imagegen.keys.keyring import DEFAULT_POOL
from imagegen.project.settings import Settings
from imagegen.providers.base import Provider
from imagegen.shell import command
from imagegen.workspace import credentials
from imagegen.workspace.outdated import changed_label, older_rule
from imagegen.workspace.plan import Plan
from imagegen.workspace.project import Project
from imagegen.workspace.survey import Survey, not_here


def require_keys(project: Project, plan: Plan, provider: Provider, keyless: str) -> None:
    """Raise `UsageError` if there are beats to draw and no style of them has a key.

    `keyless` is the command that draws without one.
    """
    ring = project.ring
    styles = [style for style, beats in plan.styles.items() if any(p.draw for p in beats)]
    if not project.requires_keys or not styles or any(ring.pool(style) for style in styles):
        return
    detail = "".join(f"\n  {warning}" for warning in ring.warnings)
    provider_option = ("--provider", provider.name) if provider.name != Settings().provider else ()
    own_file = project.root / locations.FILE
    project_option = (
        ("--project", str(project.layout.typed)) if ring.source == str(own_file) else ()
    )
    add = command("imagegen", "keys", "add", DEFAULT_POOL, *provider_option, *project_option)
    hint = f"{add} adds one; without a key: {keyless}"
    if ring.source is not None:
        heading = credentials.section(provider.name).heading
        raise UsageError(
            f"{ring.source} has no key for {' or '.join(styles)}: add one under {heading}, "
            f"or default = [...] for every style{detail}",
            hint=hint,
        )
    variables = " or ".join(provider.key_variables)
    raise UsageError(
        f"no key for {provider.name}: set {variables}, or write "
        f"{project.root / locations.FILE} or {paths.user_file()}{detail}",
        hint=hint,
    )


def require_price(project: Project, limit: str) -> None:
    """Raise `UsageError` if an image's price is not known; `limit` is what needs it."""
    if project.price is None or project.price.picture is None:
        model, size = project.model, project.settings.image_size
        raise UsageError(
            f'{limit}: the price of a {size} image of "{model}" is not known',
            hint=f'write it under [prices] in keys.toml: "{model}" = 0.05',
        )


def outdated_warnings(project: Project, plan: Plan, surveyed: Survey) -> Iterator[str]:
    """Yield notes on outdated images, and on images drawn from them.

    They stay; an image drawn from one of them becomes outdated when that one is drawn again.
    """
    if surveyed.older:
        yield older_rule(surveyed.older)
    if surveyed.elsewhere:
        yield not_here(surveyed.elsewhere)
    premature = plan.continuing_outdated
    if premature:
        first, more = premature[0], len(premature) - 1
        name = f"{first.style}/{project.beat_index.id_of(first.key)}"
        those = f"{name} and {more:,} more continue" if more else f"{name} continues"
        yield (
            f"{those} an outdated image that stays: redrawing that one outdates "
            "those that continue it"
        )
    counts = plan.outdated
    count = counts.total()
    if not count:
        return
    reasons = Counter[str]()
    for changed, pictures in counts.items():
        reasons.update(dict.fromkeys(changed, pictures))
    why = ", ".join(
        f"{changed_label([reason])} changed" + ("" if n == count else f" ({n:,})")
        for reason, n in reasons.most_common()
    )
    are = "1 image is" if count == 1 else f"{count:,} images are"
    yield f"{are} outdated: {why}; redraw with --outdated"
