"""The models of OpenAI's Images API.

From https://developers.openai.com/api/docs/pricing and …/deprecations, as of 30 November 2026. The
price of an image is that of the quality that is asked for and of the dearest shape; a landscape
costs less than a square. For 2.6 the service lists the price of a token alone.
"""

from collections.abc import Mapping
from typing import Final

from imagegen.providers.base import TokenPrices
from imagegen.providers.models import Catalogue, Model, Pixels, State

_ANY_SIZE: Final = {"512": None, "1K": None, "2K": None, "4K": None}
_FIXED: Final = Pixels(fixed=((1024, 1024), (1536, 1024), (1024, 1536)))
_FIXED_RATIOS: Final = ("1:1", "3:2", "2:3")
_FREE: Final = Pixels(step=16, least=655_360, most=8_294_400, longest=3840, widest=3)
# An unknown model is asked for any ratio in the settings.
_UNKNOWN: Final = Pixels(step=16, least=655_360, most=8_294_400, longest=3840)
_TOKENS: Final = TokenPrices(picture=30.0, text_in=5.0, picture_in=8.0)
_OF_2_5: Final = {"512": 0.006, "1K": 0.0132, "2K": 0.0144, "4K": 0.026}


def _free(name: str, sizes: Mapping[str, float | None], seconds: float | None = None) -> Model:
    return Model(
        name=name,
        sizes=sizes,
        pixels=_FREE,
        references=16,
        token_prices=_TOKENS,
        batch=0.5,
        seconds=seconds,
    )


def _ending(
    name: str,
    tokens: TokenPrices,
    sizes: Mapping[str, float | None],
    *,
    ends: str = "2026-12-01",
    state: State = State.DEPRECATED,
) -> Model:
    return Model(
        name=name,
        state=state,
        successor="gpt-image-2.5-sunburst",
        ends=ends,
        sizes=sizes,
        ratios=_FIXED_RATIOS,
        pixels=_FIXED,
        references=16,
        token_prices=tokens,
        batch=0.5,
    )


MODELS: Final = Catalogue(
    (
        # From 6 seconds in low quality.
        _free("gpt-image-2.6-flare", _ANY_SIZE, 6.0),
        _free("gpt-image-2.6-sunburst", _ANY_SIZE),
        _free("gpt-image-2.5-flare", _OF_2_5),
        _free("gpt-image-2.5-sunburst", _OF_2_5),
        _free("gpt-image-2", {"512": 0.006, "1K": 0.053, "2K": 0.056, "4K": 0.101}),
        _ending(
            "gpt-image-1.5",
            TokenPrices(picture=32.0, text_in=5.0, text_out=10.0, picture_in=8.0),
            {"512": 0.013, "1K": 0.05},
        ),
        _ending(
            "gpt-image-1-mini",
            TokenPrices(picture=8.0, text_in=2.0, picture_in=2.5),
            {"512": 0.006, "1K": 0.015},
        ),
        _ending(
            "chatgpt-image-latest",
            TokenPrices(picture=32.0, text_in=5.0, text_out=10.0, picture_in=8.0),
            {"512": None, "1K": None},
        ),
        _ending(
            "gpt-image-1",
            TokenPrices(picture=40.0, text_in=5.0, picture_in=10.0),
            {"512": None, "1K": None},
            ends="2026-10-23",
            state=State.SHUT_DOWN,
        ),
        # Servers of other makers still use these names, so nothing is refused.
        *(
            Model(
                name=name,
                state=State.SHUT_DOWN,
                successor="gpt-image-2.5-sunburst",
                ends="2026-05-12",
                sizes=_ANY_SIZE,
                pixels=_UNKNOWN,
                references=16,
            )
            for name in ("dall-e-3", "dall-e-2")
        ),
    ),
    # The newest with a listed price per image, so that a run can say what it will cost.
    default="gpt-image-2.5-flare",
    other=Model(name="", sizes=_ANY_SIZE, pixels=_UNKNOWN, references=16),
)
