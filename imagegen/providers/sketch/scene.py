"""What a sketch shows: a scene read from a beat's words.

Words decide where they can; what they leave open is settled by hashes. What belongs to a
whole shot (place, time, where the light stands) hangs on the shot's number, so that its beats
look like one place, and nothing hangs on the style, so that the styles show the same scene.
"""

import hashlib
import random
import re
import unicodedata

import msgspec

_TIMES = {
    "night": "night midnight moon moonlight moonlit star stars starlight dark darkness lamplight",
    "dawn": "dawn sunrise daybreak morning",
    "dusk": "dusk sunset evening twilight sundown",
    "day": "day noon midday afternoon daylight sunlit sunny summer",
}
_WEATHER = {
    "storm": "storm stormy thunder lightning gale tempest squall",
    "rain": "rain rainy raining drizzle downpour",
    "snow": "snow snowy snowing blizzard winter frost",
    "fog": "fog foggy mist misty haze",
}
_PLACES = {
    "room": "room kitchen indoors inside cabin hall office study bedroom parlour classroom shelf "
    "window windowsill door doorway stair stairs staircase table desk bench",
    "street": "street road alley city town village square market lane",
    "forest": "forest wood woods jungle grove",
    "mountain": "mountain mountains peak summit alps valley",
    "sea": "sea ocean wave waves harbour harbor bay coast cliff beach shore island rocks "
    "lighthouse boat boats ship sail quay pier jetty",
    "hills": "hill hills field fields meadow garden farm desert path country",
}
_SUBJECTS = {
    "lighthouse": "lighthouse beacon",
    "house": "house cottage farmhouse barn hut school bakery shop",
    "tower": "tower castle church steeple belfry skyscraper",
    "boat": "boat boats ship sail yacht dinghy rowboat trawler ferry",
    "stairs": "stair stairs staircase steps ladder",
    "window": "window windows windowsill pane",
    "door": "door doorway gate threshold",
    "table": "table desk letter book cup kettle teapot map notebook logbook bread candle "
    "telescope bench radio clock",
    "figure": "man woman boy girl child children keeper fisherman sailor captain figure person "
    "people teacher engineer mother father grandmother grandfather daughter son friend crew "
    "he she his her they traveller hero",
    "tree": "tree trees oak pine",
    "gulls": "gull gulls bird birds seagull seagulls",
}
_PAINTS = {
    "C8372D": "red scarlet crimson",
    "F2B630": "yellow gold golden brass",
    "2F6DB5": "blue",
    "3F8F5B": "green",
    "E5772E": "orange",
    "7C5AA6": "purple violet",
}
_INDOORS = ("window", "door", "table", "stairs", "figure")
_OUTDOORS = ("figure", "house", "tree", "tower", "boat", "lighthouse")
_CLOSE = frozenset(
    ["close", "closer", "closeup", "face", "hand", "hands", "eye", "eyes", "detail", "near"]
)
_WIDE = frozenset(
    [
        "wide",
        "far",
        "distant",
        "distance",
        "aerial",
        "above",
        "panorama",
        "horizon",
        "vast",
        "tiny",
        "small",
    ]
)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the picture. Positions are shares of the picture's width and height.

    `paint` is the colour that the words name, in hexadecimal digits.
    """

    time: str
    weather: str
    place: str
    subject: str
    others: tuple[str, ...]
    paint: str
    zoom: float
    horizon: float
    across: float
    light: tuple[float, float]
    shot_seed: int
    seed: int


def seeded(*parts: str) -> random.Random:
    """Return a source of numbers that is the same in every process for the same parts."""
    return random.Random(seed_of(*parts))  # noqa: S311 (a drawing, not a secret)


def seed_of(*parts: str) -> int:
    """Return a number that stands for the parts."""
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def read_scene(words: str, shot: str, beat: str) -> Scene:
    """Return the scene that a beat's words describe."""
    found = re.findall(r"[a-z]+", unicodedata.normalize("NFKD", words[:4000]).casefold())
    shared = seeded("shot", shot)
    own = seeded("beat", shot, beat, words)
    light = (shared.uniform(0.14, 0.86), shared.uniform(0.16, 0.4))
    usual = shared.choice(("day", "dawn", "dusk", "day", "night"))
    horizon = shared.uniform(0.6, 0.74) + own.uniform(-0.03, 0.03)
    anywhere = shared.choice(("sea", "hills", "mountain", "forest", "street", "hills"))
    weather = _first(found, _WEATHER)
    time = _first(found, _TIMES) or usual
    subjects = _all(found, _SUBJECTS)
    place = _place(found, subjects) or anywhere
    if not subjects:
        subjects = (own.choice(_INDOORS if place == "room" else _OUTDOORS),)
    if place not in {"sea", "room"}:
        subjects = tuple(s for s in subjects if s != "boat") or ("figure",)
    left = own.random() < 0.5 if abs(light[0] - 0.5) < 0.12 else light[0] > 0.5
    return Scene(
        time="storm" if weather == "storm" and time != "night" else time,
        weather=weather,
        place=place,
        subject=subjects[0],
        others=tuple(s for s in subjects[1:] if _goes(s, place, subjects[0]))[:2],
        paint=_first(found, _PAINTS),
        zoom=_zoom(frozenset(found), own),
        horizon=horizon,
        across=own.uniform(0.28, 0.4) if left else own.uniform(0.6, 0.72),
        light=light,
        shot_seed=seed_of("shot", shot),
        seed=seed_of("beat", shot, beat, words),
    )


def _index(table: dict[str, str]) -> dict[str, str]:
    return {word: name for name, words in table.items() for word in words.split()}


_INDEXES = {id(table): _index(table) for table in (_TIMES, _WEATHER, _PLACES, _SUBJECTS, _PAINTS)}


def _all(found: list[str], table: dict[str, str]) -> tuple[str, ...]:
    """Return the names whose words occur, in the order of the text."""
    index = _INDEXES[id(table)]
    return tuple(dict.fromkeys(index[word] for word in found if word in index))


def _first(found: list[str], table: dict[str, str]) -> str:
    return next(iter(_all(found, table)), "")


def _place(found: list[str], subjects: tuple[str, ...]) -> str:
    """Return where the scene is; a thing that stands outdoors keeps it out of a room."""
    places = _all(found, _PLACES)
    outdoors = {"lighthouse", "house", "tower", "boat", "tree"}
    if subjects and subjects[0] in outdoors:
        places = tuple(place for place in places if place != "room")
    if "room" in places or (subjects and subjects[0] in {"table", "window"}):
        return "room"
    return places[0] if places else ""


def _goes(other: str, place: str, subject: str) -> bool:
    """Tell whether a second thing can stand in the place beside the subject."""
    if place == "room":
        return other in _INDOORS
    if other in {"door", "stairs", "table", "window"}:
        return False
    # On the water there is ground only under a subject that brings its headland.
    dry = {"house", "tower", "tree", "figure"}
    return place != "sea" or other not in dry or (other == "figure" and subject == "lighthouse")


def _zoom(found: frozenset[str], own: random.Random) -> float:
    if found & _CLOSE:
        return own.uniform(1.3, 1.5)
    if found & _WIDE:
        return own.uniform(0.62, 0.74)
    return own.uniform(0.88, 1.14)
