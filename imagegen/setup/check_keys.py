"""The keys of a project without a run: which there are, and whether they work."""

import queue
import re
import threading
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from imagegen import providers
from imagegen.errors import UsageError
from imagegen.keys import keyfile
from imagegen.keys.address import address
from imagegen.keys.keyring import DEFAULT_POOL, ApiKey
from imagegen.keys.locations import FILE, KeyLocation, selected_location
from imagegen.project import settings
from imagegen.providers.base import FaultKind, Provider, ProviderError, ProviderOptions
from imagegen.secret import Secret
from imagegen.shell import command
from imagegen.times import day
from imagegen.workspace import credentials
from imagegen.workspace.credentials import CredentialOptions

_UNREACHED: Final = frozenset(
    {FaultKind.PASSING, FaultKind.REDIRECTED, FaultKind.UNUSABLE, FaultKind.NETWORK}
)
_AT_ONCE: Final = 8
_LOOK_AGAIN: Final = 0.2
"""Seconds; if a wait without an end cannot be interrupted, Ctrl-C takes no longer."""


class ConfiguredKeys:
    """The keys that a project uses, with every place where some may be.

    `provider` is the keys' provider; by default the project's. `model` is the one that the
    project names, if any. Beats are not read: a
    folder that is no project yet has keys too. Raises
    `InvalidInputError` with the errors of imagegen.toml or of the keys file, and `UsageError`
    for a folder, keys file or provider that there is not.
    """

    def __init__(self, root: Path, source: CredentialOptions, provider: str | None = None) -> None:
        if not root.is_dir():
            raise UsageError(
                f"{root}: there is no such folder",
                hint="name the project's folder, or leave it out",
            )
        self.root = root
        read = settings.load(root)
        self.provider = provider or read.provider
        # A model belongs to the provider that the settings name.
        self.model = read.model if self.provider == read.provider else None
        self._timeout = read.timeout
        self.needed = bool(providers.key_variables(self.provider))
        self._settings_provider = read.provider
        self.styles = read.drawn_styles
        self._source = source
        self.places: tuple[KeyLocation, ...] = ()
        if self.needed:
            self.places = credentials.places(root, self.provider, source.file)
        self.used = selected_location(self.places)
        self.ring = keyfile.read(self.places, tuple(read.styles))

    @property
    def pools(self) -> dict[str, tuple[ApiKey, ...]]:
        """The keys of each style that is drawn, and of every other list of the file."""
        style_keys = {style: self.ring.pool(style) for style in self.styles}
        return style_keys | {
            name: keys for name, keys in self.ring.pools.items() if name not in style_keys
        }

    @property
    def lists_by_key(self) -> dict[Secret, list[str]]:
        """Every key, once, with the lists that it is in."""
        lists: dict[Secret, list[str]] = {}
        for name, keys in self.ring.pools.items():
            for key in keys:
                lists.setdefault(key.secret, []).append(name)
        return lists

    @property
    def keyless(self) -> list[str]:
        """The styles that are drawn and have no key."""
        return [style for style in self.styles if not self.ring.pool(style)]

    @property
    def using_default(self) -> list[str]:
        """The styles that are drawn with the default keys."""
        pools = self.ring.pools
        return [s for s in self.styles if s not in pools] if DEFAULT_POOL in pools else []

    @property
    def named(self) -> tuple[str, ...]:
        """The option that a command on these keys needs, if the project does not say it."""
        return () if self.provider == self._settings_provider else ("--provider", self.provider)

    @property
    def no_key_error(self) -> UsageError:
        """The error if there is no key at all."""
        where = f" in {self.ring.source}" if self.ring.source else ""
        unset = sorted({name for names in self.ring.unset.values() for name in names})
        detail = f"; not set in the environment: {', '.join(unset)}" if unset else ""
        is_project_file = self.used is not None and self.used.path == self.root / FILE
        project_option = ("--project", str(self.root)) if is_project_file else ()
        add = command("imagegen", "keys", "add", DEFAULT_POOL, *self.named, *project_option)
        return UsageError(
            f"there is no key for {self.provider}{where}{detail}", hint=f"add one: {add}"
        )

    def base_url(self) -> str | None:
        """Return where requests go; None: to the provider's own address. Raises `UsageError`."""
        return address(self._source.base_url, self.ring)

    def create_provider(self) -> Provider:
        """Return the client of the service. Raises `UsageError` for an invalid URL."""
        options = ProviderOptions(model=self.model, base_url=self.base_url(), timeout=self._timeout)
        return providers.create(self.provider, options)


class Remedy(StrEnum):
    """What the user can do about a key."""

    NOTHING = "nothing"
    REPLACE = "replace"
    ADD_CREDIT = "add credit"
    RAISE_CAP = "raise the cap"
    ENABLE_BILLING = "enable billing"
    WAIT = "wait"
    OTHER_MODEL = "other model"
    OTHER_REGION = "other region"
    NETWORK = "network"


_REMEDIES: Final = {
    FaultKind.KEY_REJECTED: Remedy.REPLACE,
    FaultKind.OUT_OF_CREDIT: Remedy.ADD_CREDIT,
    FaultKind.NO_QUOTA: Remedy.ENABLE_BILLING,
    FaultKind.LIMITED: Remedy.WAIT,
    FaultKind.SPENT_TODAY: Remedy.WAIT,
    FaultKind.MODEL_GONE: Remedy.OTHER_MODEL,
}
"""What helps against each kind of error; the network and the address for any other."""

_WORDS: Final = (
    (
        re.compile(r"\blocation\b|\bregion\b|\bcountry\b|\bterritor", re.IGNORECASE),
        Remedy.OTHER_REGION,
    ),
    (
        re.compile(r"spend(?:ing)? (?:cap|limit)|hard limit", re.IGNORECASE),
        Remedy.RAISE_CAP,
    ),
    (re.compile(r"prepay|\bcredits?\b|balance", re.IGNORECASE), Remedy.ADD_CREDIT),
    (
        re.compile(r"billed users|\bbilling\b.{0,40}\b(?:enabl|activ)", re.IGNORECASE),
        Remedy.ENABLE_BILLING,
    ),
)
"""What an error's message says more precisely than its kind."""

_OVERLOADED: Final = re.compile(r"HTTP (?:429|5\d\d)|HTTP 408")


class KeyCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the service said of a key: the image `models` that it sees, or an error.

    `lists` are the key's lists in the file. `works` means that the key can
    draw with the project's model.
    """

    tail: str
    lists: tuple[str, ...]
    is_usable: bool
    models: tuple[str, ...] = ()
    fault: ProviderError | None = None

    @property
    def remedy(self) -> Remedy:
        """What to do about it."""
        fault = self.fault
        if fault is None:
            return Remedy.NOTHING if self.is_usable else Remedy.OTHER_MODEL
        if fault.kind is FaultKind.PASSING:
            return Remedy.WAIT if _OVERLOADED.match(fault.reason) else Remedy.NETWORK
        if fault.kind in {
            FaultKind.KEY_REJECTED,
            FaultKind.OUT_OF_CREDIT,
            FaultKind.UNUSABLE,
            FaultKind.BAD_REQUEST,
        }:
            for words, remedy in _WORDS:
                if words.search(fault.message):
                    return remedy
        return _REMEDIES.get(fault.kind, Remedy.NETWORK)

    @property
    def was_reached(self) -> bool:
        """Whether the service said anything about the key."""
        return self.fault is None or self.fault.kind not in _UNREACHED


def notes(provider: Provider, wall: float) -> tuple[str, ...]:
    """Return what is worth knowing about the model that draws. `wall` is the time in seconds."""
    about = provider.catalogue.find(provider.model).about_end(day(wall))
    return () if about is None else (about,)


def check(keys: ConfiguredKeys, provider: Provider) -> list[KeyCheck]:
    """Ask the service's free endpoint about every key, several at a time, in the file's order.

    May be interrupted at any moment: nothing is waited for then.
    """
    users = list(keys.lists_by_key.items())
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    answered: queue.SimpleQueue[tuple[int, tuple[str, ...] | ProviderError | Exception]]
    answered = queue.SimpleQueue()
    for number in range(len(users)):
        waiting.put(number)

    def ask() -> None:
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answered.put((number, provider.models(users[number][0])))
            except Exception as error:  # noqa: BLE001  # raised where it can be reported
                answered.put((number, error))

    for _ in range(min(_AT_ONCE, len(users))):
        # The threads of a pool would be waited for after Ctrl-C.
        threading.Thread(target=ask, daemon=True).start()
    checks: dict[int, KeyCheck] = {}
    while len(checks) < len(users):
        try:
            number, answer = answered.get(timeout=_LOOK_AGAIN)
        except queue.Empty:
            continue
        if isinstance(answer, Exception):
            raise answer
        secret, lists = users[number]
        checks[number] = _result(secret, lists, answer, provider.model)
    return [checks[number] for number in range(len(users))]


def _result(
    secret: Secret, lists: Sequence[str], answer: tuple[str, ...] | ProviderError, model: str
) -> KeyCheck:
    if isinstance(answer, ProviderError):
        return KeyCheck(tail=secret.tail, lists=tuple(lists), is_usable=False, fault=answer)
    works = model in answer
    return KeyCheck(tail=secret.tail, lists=tuple(lists), is_usable=works, models=answer)
