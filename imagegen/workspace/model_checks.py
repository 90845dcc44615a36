"""What the model that draws does not take, and what is worth knowing about it before it draws."""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.project import settings
from imagegen.project.storyboard import Beat
from imagegen.providers.base import Price
from imagegen.providers.models import Catalogue, Model
from imagegen.workspace import credentials
from imagegen.workspace.pricing import Expected, Pricing, expected
from imagegen.workspace.project import Project

_OTHERS: Final = 3
_CENT: Final = 0.005


def require_settings(project: Project) -> None:
    """Raise `InvalidInputError` for a size, ratio or thinking that the model does not take."""
    faults = list(_of_settings(project))
    if faults:
        raise InvalidInputError(faults)


def require_references(project: Project, beats: Iterable[Beat]) -> None:
    """Raise `InvalidInputError` if a beat has more references than the model takes."""
    first_excess = project.composer.excess(beats)
    if first_excess is None:
        return
    beat, count = first_excess
    model = project.table_entry
    more_beats = f", and {count - 1:,} more beats" if count > 2 else ", and 1 more beat"
    raise InvalidInputError(
        [
            InputError(
                file=str(project.layout.typed / beat.file),
                row=beat.row,
                field="references",
                message=(
                    f"{beat.address}{more_beats if count > 1 else ''}: more "
                    f"reference images than {model.name} takes"
                ),
                hint=f"it takes {model.references_shown} (check --show lists them)",
            )
        ]
    )


def _of_settings(project: Project) -> Iterator[InputError]:
    settings_read, model, catalogue = project.settings, project.table_entry, project.catalogue
    file = str(project.layout.typed / settings.FILE)

    def fault(field: str, message: str, hint: str) -> InputError:
        return InputError(file=file, field=field, message=message, hint=hint)

    size, ratio = settings_read.image_size, settings_read.aspect_ratio
    if size not in model.sizes:
        offering = _named(m for m in catalogue.models if m.offered and size in m.sizes)
        draws = f"it draws {', '.join(model.sizes)}"
        yield fault(
            "image_size",
            f"{model.name} does not draw {size}",
            f"{draws}; {size} is drawn by {offering}" if offering else draws,
        )
    if not model.draws_ratio(ratio):
        yield fault(
            "aspect_ratio",
            f"{model.name} does not draw {ratio}",
            f"it draws {model.ratios_shown}",
        )
    levels = {"thinking": settings_read.thinking}
    levels |= {
        f"styles.{name}.thinking": settings_read.styles[name].thinking for name in project.styles
    }
    for field, level in levels.items():
        if level is not None and level not in model.thinking:
            takes = ", ".join(model.thinking)
            yield fault(
                field,
                f'{model.name} does not take thinking = "{level}"',
                f"it takes {takes}" if takes else "leave it out",
            )


def _named(models: Iterable[Model]) -> str:
    return ", ".join([model.name for model in models][:_OTHERS])


def expected_cost(project: Project, beats: Iterable[Beat], thoughts: float = 0.0) -> Expected:
    """Return what images of these beats should cost, each with its references.

    `thoughts` is how many tokens the model thinks about one.
    """
    return _expected(project, project.price, list(beats), thoughts)


def picture_price(project: Project) -> float | None:
    """Return about what an image costs with its references, in US dollars; None if unknown.

    The keys file is read for it if it was not.
    """
    pricing = project.pricing
    if pricing.ring.source is None and project.requires_keys:
        settings_read, options = project.settings, project.credentials.options
        try:
            ring = credentials.read(project.root, settings_read, options).ring
        except UsageError:
            # Its errors are reported when keys are needed.
            return None
        pricing = Pricing(ring, settings_read.image_size)
    beats = list(itertools.chain.from_iterable(project.beats.values()))
    return _expected(project, pricing.price(project.table_entry), beats).mean


def _expected(
    project: Project, price: Price | None, beats: list[Beat], thoughts: float = 0.0
) -> Expected:
    counts = {0: len(beats)}
    if price is not None and price.reference:
        counts = dict(project.composer.reference_counts(beats)) or counts
    return expected(price, counts, thoughts)


def notes(project: Project, beats: Iterable[Beat], today: dt.date) -> Iterator[str]:
    """Yield what is worth knowing about the model: that it ends, or that its price is not known.

    `beats` are those that would be drawn, for what its successor would save.
    """
    model, catalogue = project.table_entry, project.catalogue
    about = model.about_end(today)
    if about is not None:
        yield about + _savings(project, model, catalogue, list(beats))
    price = project.price
    if price is None or price.picture is None:
        until = "" if price is None else " before the first answers"
        yield (
            f'what an image of "{model.name}" costs is not known{until} '
            f'("{model.name}" = 0.05 under [prices] in keys.toml says it)'
        )


def _savings(project: Project, model: Model, catalogue: Catalogue, drawn: list[Beat]) -> str:
    """Return what the successor of a model would save, as the end of a sentence."""
    if model.successor is None:
        return ""
    successor = catalogue.find(model.successor)
    size = project.settings.image_size
    if size not in successor.sizes:
        return f", which draws {', '.join(successor.sizes)}"
    now = _expected(project, project.pricing.price(model), drawn).mean
    then = _expected(project, project.pricing.price(successor), drawn).mean
    saved = 0.0 if now is None or then is None else (now - then) * len(drawn)
    if saved < _CENT:
        return ""
    return f", which would save about ${saved:,.2f} (model in imagegen.toml)"
