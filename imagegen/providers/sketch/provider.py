"""A provider that draws storyboard frames itself: no key, no network, no cost.

For trying the program out, for seeing a storyboard's rhythm before paying for it, and for
tests. A request always gives the same bytes.
"""

import math
import os
from collections.abc import Callable

from imagegen.providers.base import (
    USUAL_TYPES,
    Outcome,
    Picture,
    Provider,
    ProviderError,
    ProviderOptions,
    Request,
)
from imagegen.providers.models import Catalogue, Model
from imagegen.secret import Secret
from imagegen.sizes import RATIOS, SIDES

_FREE = dict.fromkeys(SIDES, 0.0)
_LEVELS = ("minimal", "medium", "high")
# It ignores references and thinking, and accepts the same requests as the API that it replaces.
MODELS = Catalogue(
    (Model(name="sketch", sizes=_FREE, ratios=RATIOS, thinking=_LEVELS),),
    default="sketch",
    other=Model(name="", sizes=_FREE, ratios=RATIOS, thinking=_LEVELS),
)


class Sketch(Provider):
    """Draws each request as a storyboard frame, its words below."""

    name = "sketch"
    catalogue = MODELS
    supports_base_url = False
    reference_types = USUAL_TYPES | {"image/heic"}

    def __init__(self, options: ProviderOptions) -> None:
        # Its model does not matter, but an image records the requested one.
        self.model = options.model or MODELS.default.name
        self.max_concurrency = options.width or os.cpu_count() or 1

    def draw(self, request: Request, key: Secret | None, sent: Callable[[], None]) -> Outcome:  # noqa: ARG002
        """Draw one frame."""
        from imagegen.providers.sketch.frame import draw_frame  # noqa: PLC0415  # loads Pillow

        sent()
        size = frame_size(request.aspect_ratio, request.image_size)
        return Picture(data=draw_frame(request, size))

    def models(self, key: Secret | None) -> tuple[str, ...] | ProviderError:  # noqa: ARG002
        """Return the one model there is."""
        return (self.model,)

    def close(self) -> None:
        """Do nothing: there is no connection."""


def frame_size(aspect_ratio: str, image_size: str) -> tuple[int, int]:
    """Return width and height in pixels: exactly the ratio, near the size's usual area.

    1K is about 1024 x 1024 pixels of area; 16:9 gives 1360 x 765.
    """
    across, down = (int(part) for part in aspect_ratio.split(":"))
    step = int(round(1024 / math.sqrt(across * down)) * SIDES[image_size] / 1024)
    return across * step, down * step
