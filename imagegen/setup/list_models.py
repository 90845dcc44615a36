"""The models of a project's provider: what the table says, and what its key sees."""

from pathlib import Path

import msgspec

from imagegen import providers
from imagegen.providers.base import ProviderError
from imagegen.providers.models import Catalogue, Model
from imagegen.setup.check_keys import ConfiguredKeys
from imagegen.workspace.credentials import CredentialOptions


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The models of one provider.

    `used` is the one that the project draws with. `tail` names the key that was asked with,
    `seen` are the image models that the service listed; None if it was not asked, or did not
    answer, for which `trouble` has the reason.
    """

    provider: str
    catalogue: Catalogue
    used: Model
    tail: str | None = None
    seen: tuple[str, ...] | None = None
    trouble: str | None = None

    @property
    def models(self) -> tuple[Model, ...]:
        """The models of the table, and the project's own if the table does not list it."""
        names = {model.name for model in self.catalogue.models}
        unlisted = () if self.used.name in names else (self.used,)
        return (*self.catalogue.models, *unlisted)

    @property
    def others(self) -> tuple[str, ...]:
        """What the key sees and the table does not list."""
        names = {model.name for model in self.models}
        return tuple(name for name in self.seen or () if name not in names)


def gather(root: Path, source: CredentialOptions, provider: str | None) -> Listing:
    """Return the models of a provider; one key asks the service's free list, if there is a key.

    Raises as `ConfiguredKeys` does, and `UsageError` for an invalid URL.
    """
    keys = ConfiguredKeys(root, source, provider)
    catalogue = providers.catalogue(keys.provider)
    listing = Listing(
        provider=keys.provider,
        catalogue=catalogue,
        used=catalogue.find(keys.model or catalogue.default.name),
    )
    first = next(iter(keys.lists_by_key), None)
    takes_address = providers.provider_class(keys.provider).supports_base_url
    if first is None if keys.needed else not takes_address:
        return listing
    client = keys.create_provider()
    try:
        answer = client.models(first)
    finally:
        client.close()
    tail = first.tail if first is not None else None
    if isinstance(answer, ProviderError):
        return msgspec.structs.replace(listing, tail=tail, trouble=answer.message)
    return msgspec.structs.replace(listing, tail=tail, seen=answer)
