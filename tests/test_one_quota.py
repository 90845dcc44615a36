"""Keys that seem independent, and draw on one quota."""

import datetime as dt
from pathlib import Path

from fakes import FakeClock
from imagegen.events.types import Event, KeyChange, WarningEvent
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.providers.base import FaultKind, Outcome, Picture, ProviderError, Request
from imagegen.secret import Secret
from virtual import PNG, Show

WORDS = "hit the limit together"


def keys(count: int) -> tuple[ApiKey, ...]:
    """Return so many keys, each said to have 9 requests a minute of its own."""
    return tuple(ApiKey(Secret(f"test-key-one-quota-{n:06d}"), RateLimit(9)) for n in range(count))


class Quotas:
    """A service that allows so many requests in any minute to each group of keys."""

    def __init__(self, clock: FakeClock, limit: int, group: int) -> None:
        self._clock = clock
        self._limit = limit
        self._group = group
        self._granted: dict[int, list[float]] = {}

    def __call__(self, _: Request, secret: str) -> Outcome:
        """Grant a request, or say when to come again."""
        now = self._clock.now()
        number = int(secret[-6:]) // self._group
        granted = [at for at in self._granted.get(number, []) if at > now - 60]
        self._granted[number] = granted
        if len(granted) >= self._limit:
            wait = granted[0] + 60 - now
            return ProviderError(
                kind=FaultKind.LIMITED, reason="429", message="quota", retry_after=wait
            )
        granted.append(now)
        return Picture(data=PNG)


def is_refusal(event: Event) -> bool:
    """Tell whether an event says that a key was refused for its quota."""
    return isinstance(event, KeyChange) and event.state == "cooling"


def warned(show: Show) -> list[str]:
    """Return what was said of keys that hit a limit together."""
    texts = [event.message for event in show.events if isinstance(event, WarningEvent)]
    return [text for text in texts if WORDS in text]


def test_keys_of_one_project_are_found_out(tmp_path: Path) -> None:
    """They are named, once, with what would make it faster."""
    show = Show(tmp_path, beats={"clear": 60}, keys={"clear": keys(2)})
    show.provider.answer = Quotas(show.clock, limit=9, group=2)
    assert show.draw().exit_code == 0
    (text,) = warned(show)
    refused = [event.time for event in show.events if is_refusal(event)]
    began = dt.datetime.fromisoformat(show.events[0].time)
    assert all((dt.datetime.fromisoformat(at) - began).seconds < 60 for at in refused)
    # Nine a minute, and the pauses of the first minute.
    assert show.clock.now() - show.began < 60 * (60 / 9 + 1.5)
    assert text.count("…0000") == 1
    assert text.count("…0001") == 1
    assert "separate projects" in text


def test_keys_whose_limit_is_lower_than_told_are_not_suspected(tmp_path: Path) -> None:
    """Two projects of 7 requests a minute each are refused at one time, and are two."""
    show = Show(tmp_path, beats={"clear": 60}, keys={"clear": keys(2)})
    show.provider.answer = Quotas(show.clock, limit=7, group=1)
    assert show.draw().exit_code == 0
    assert warned(show) == []


def test_one_refused_key_alone_says_nothing_of_others(tmp_path: Path) -> None:
    """Somebody else's use of one key's quota is no sign of a shared one."""
    show = Show(tmp_path, beats={"clear": 60}, keys={"clear": keys(3)})
    quota = Quotas(show.clock, limit=4, group=1)
    drawn = Picture(data=PNG)
    show.provider.answer = lambda r, key: quota(r, key) if key.endswith("2") else drawn
    assert show.draw().exit_code == 0
    assert warned(show) == []


def test_keys_of_one_project_are_slowed_to_what_it_grants(tmp_path: Path) -> None:
    """Bursts that overlap tell exactly what each key gets of the one quota: the paces add up."""
    show = Show(tmp_path, beats={"clear": 30}, keys={"clear": keys(2)}, latency=1.0, timeout=10.0)
    show.provider.answer = Quotas(show.clock, limit=9, group=2)
    assert show.draw().exit_code == 0
    cooling = [e for e in show.events if isinstance(e, KeyChange) and is_refusal(e)]
    paces = {event.key: event.per_minute for event in cooling}
    assert sum(pace or 0 for pace in paces.values()) == 9
    # One burst, and no key is refused again.
    began = dt.datetime.fromisoformat(show.events[0].time)
    assert all((dt.datetime.fromisoformat(e.time) - began).seconds < 10 for e in cooling)
