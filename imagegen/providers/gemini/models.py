"""The models of the Gemini API.

From https://ai.google.dev/gemini-api/docs/models, …/pricing and …/deprecations, as of 30 November
2026. The price of a reference is 1,120 tokens of input; that of `gemini-3-pro-image` and
`gemini-3.1-flash-lite-image` is LiteLLM's.
"""

from typing import Final

from imagegen.providers.base import TokenPrices
from imagegen.providers.models import Catalogue, Model, State
from imagegen.sizes import RATIOS

_SIZES: Final = {"512": None, "1K": None, "2K": None, "4K": None}
_SHUT_DOWN: Final = (
    "imagen-4.0-generate-001",
    "imagen-4.0-ultra-generate-001",
    "imagen-4.0-fast-generate-001",
    "imagen-3.0-generate-002",
    "imagen-3.0-generate-001",
    "imagen-3.0-fast-generate-001",
)

MODELS: Final = Catalogue(
    (
        Model(
            name="gemini-nano-banana-2.1",
            sizes={"1K": 0.0336, "2K": 0.0504, "4K": 0.113},
            ratios=RATIOS,
            people=4,
            things=10,
            thinking=("minimal", "medium", "high"),
            default_thinking="medium",
            token_prices=TokenPrices(picture=30.0, text_in=1.5, text_out=7.5),
            reference_price=0.00168,
            batch=0.5,
            # 15 to 40.
            seconds=25.0,
        ),
        Model(
            name="gemini-3.1-flash-lite-image",
            sizes={"1K": 0.0336},
            ratios=RATIOS,
            thinking=("minimal", "high"),
            token_prices=TokenPrices(picture=30.0, text_in=0.25, text_out=1.5),
            reference_price=0.00028,
            batch=0.5,
        ),
        Model(
            name="gemini-3-pro-image",
            sizes={"1K": 0.134, "2K": 0.134, "4K": 0.24},
            ratios=RATIOS,
            token_prices=TokenPrices(picture=120.0, text_in=2.0, text_out=12.0),
            reference_price=0.0011,
            batch=0.5,
            seconds=70.0,
        ),
        Model(
            name="gemini-3.1-flash-image",
            state=State.DEPRECATED,
            successor="gemini-nano-banana-2.1",
            sizes={"512": 0.045, "1K": 0.067, "2K": 0.101, "4K": 0.151},
            ratios=RATIOS,
            thinking=("minimal", "high"),
            token_prices=TokenPrices(picture=60.0, text_in=0.5, text_out=3.0),
            reference_price=0.00056,
            batch=0.5,
            seconds=8.0,
        ),
        Model(
            name="gemini-2.5-flash-image",
            state=State.LEGACY,
            successor="gemini-3.1-flash-lite-image",
            ends="2027-03-15",
            sizes={"1K": 0.039},
            ratios=RATIOS,
            references=3,
            token_prices=TokenPrices(picture=30.0, text_in=0.3, text_out=2.5),
            batch=0.5,
        ),
        Model(
            name="nano-banana-pro-preview",
            state=State.ALIAS,
            alias_of="gemini-3-pro-image",
        ),
        Model(
            name="gemini-3.1-flash-image-preview",
            state=State.SHUT_DOWN,
            successor="gemini-nano-banana-2.1",
            ends="2026-06-25",
            sizes=_SIZES,
            ratios=RATIOS,
            thinking=("minimal", "high"),
        ),
        Model(
            name="gemini-3-pro-image-preview",
            state=State.SHUT_DOWN,
            successor="gemini-3-pro-image",
            ends="2026-06-25",
            sizes=_SIZES,
            ratios=RATIOS,
        ),
        *(
            Model(
                name=name,
                state=State.SHUT_DOWN,
                successor="gemini-nano-banana-2.1",
                ends="2026-08-17",
                sizes=_SIZES,
                ratios=RATIOS,
            )
            for name in _SHUT_DOWN
        ),
    ),
    default="gemini-nano-banana-2.1",
    other=Model(name="", sizes=_SIZES, thinking=("minimal", "medium", "high")),
)
