"""Which images have another shape or size than was asked for, or than the rest."""

from collections import Counter
from collections.abc import Iterable, Iterator

from imagegen import providers
from imagegen.images import shape
from imagegen.images.png import Provenance
from imagegen.project.settings import Settings
from imagegen.workspace.survey import BeatImage, Survey


def of_request(
    width: int, height: int, *, provider: str, model: str, aspect_ratio: str, image_size: str
) -> shape.Misfit | None:
    """Return in what an image differs from what this provider was asked for."""
    expected = None
    if provider in providers.NAMES:
        catalogue = providers.catalogue(provider).find(model)
        expected = catalogue.asked_pixels(aspect_ratio, image_size)
    return shape.misfit(width, height, aspect_ratio, image_size, expected)


class Misfits:
    """What is unlike the rest among a project's images.

    An image says of itself what was asked for. One that does not, of another tool, is held
    against the shape that most images of the project have.
    """

    def __init__(self, surveyed: Survey, settings: Settings) -> None:
        every = [image for beats in surveyed.beats.values() for image in beats if image.has_image]
        self._rest: tuple[int, int] | None = None
        if any(_request(image) is None for image in every):
            self._rest = _most(every, shape.usual(settings.aspect_ratio, settings.image_size))

    def of(self, image: BeatImage) -> str | None:
        """Return how a beat's image differs from the request, as text; None if it does not."""
        if image.whole is None:
            return None
        size, drawn = (image.whole.width, image.whole.height), _request(image)
        if drawn is not None:
            difference = of_request(
                *size,
                provider=drawn.provider,
                model=drawn.model,
                aspect_ratio=drawn.aspect_ratio,
                image_size=drawn.image_size,
            )
            return difference.words if difference is not None else None
        if self._rest is None or shape.is_same_ratio(*size, *self._rest):
            return None
        rest, image_ratio = shape.ratio_name(*self._rest), shape.ratio_name(*size)
        return f"the rest are {rest}, this is {image_ratio}"


def _request(image: BeatImage) -> Provenance | None:
    """Return what an image was asked for with; None if nothing was asked."""
    drawn = image.provenance
    return drawn if drawn is not None and drawn.provider in providers.NAMES else None


def _most(every: Iterable[BeatImage], usual: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the shape that most images have; of several the usual one."""
    counts = Counter(_shapes(every))
    if not counts:
        return None
    most = max(counts.values())
    commonest = [size for size, count in counts.items() if count == most]
    if usual is not None:
        for size in commonest:
            if shape.is_same_ratio(*size, *usual):
                return size
    return commonest[0]


def _shapes(every: Iterable[BeatImage]) -> Iterator[tuple[int, int]]:
    """Yield a shape for each image; those that look alike are the same one."""
    shapes: list[tuple[int, int]] = []
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    for image in every:
        if image.whole is None:
            continue
        size = image.whole.width, image.whole.height
        if size not in sizes:
            alike = next(
                (
                    shape_before
                    for shape_before in shapes
                    if shape.is_same_ratio(*size, *shape_before)
                ),
                None,
            )
            if alike is None:
                shapes.append(size)
            sizes[size] = alike or size
        yield sizes[size]
