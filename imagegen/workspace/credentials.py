"""Find a provider's keys and URL: the one place where the two meet."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from imagegen import providers
from imagegen.errors import InvalidInputError
from imagegen.keys import keyfile
from imagegen.keys.address import address, plaintext_warning
from imagegen.keys.keyring import Keyring
from imagegen.keys.locations import KeyLocation, LocationKind, candidate_locations
from imagegen.keys.section import Section
from imagegen.project.settings import Settings


class CredentialOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where this command finds keys and sends them; never remembered."""

    file: Path | None = None
    base_url: str | None = None


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's keys and URL, as a command may use them."""

    provider: str
    options: CredentialOptions
    ring: Keyring = msgspec.field(default_factory=Keyring)

    @property
    def base_url(self) -> str | None:
        """Where requests go; None: to the provider's own address. Raises `UsageError`."""
        takes_address = providers.provider_class(self.provider).supports_base_url
        return address(self.options.base_url, self.ring) if takes_address else None

    def address_warnings(self) -> list[str]:
        """Warn of an address to which keys would travel in the clear."""
        has_keys = bool(providers.key_variables(self.provider))
        warning = plaintext_warning(self.base_url) if has_keys else None
        return [warning] if warning else []


def read(root: Path, settings: Settings, options: CredentialOptions) -> Credentials:
    """Read the keys of the provider that a project's settings name; raises as `load` does."""
    ring = load(root, settings.provider, tuple(settings.styles), keys_file=options.file)
    return Credentials(provider=settings.provider, options=options, ring=ring)


def section(provider: str) -> Section:
    """Return the part of a keys file that is this provider's.

    Raises `UsageError` for a name that is not known.
    """
    named_provider = providers.provider_class(provider)
    return Section(
        table=named_provider.keys_section,
        tables=providers.TABLES,
        per_minute=named_provider.per_minute,
        keyless=not named_provider.key_variables,
    )


def places(root: Path, provider: str, keys_file: Path | None = None) -> tuple[KeyLocation, ...]:
    """Return every place that may hold this provider's keys; see `places.find`."""
    return candidate_locations(
        root,
        keys_file=keys_file,
        variables=providers.key_variables(provider),
        section=section(provider),
    )


def load(
    root: Path, provider: str, styles: Sequence[str], *, keys_file: Path | None = None
) -> Keyring:
    """Find and read this provider's keys and address for a project; see `keyfile.load`.

    For a provider that needs neither none are read, but a project's file that says where
    requests go is refused for it too.
    """
    if not providers.provider_class(provider).supports_base_url:
        project_files = [
            place for place in places(root, provider) if place.named is LocationKind.PROJECT
        ]
        faults = keyfile.look_over(project_files)
        if faults:
            raise InvalidInputError(faults)
        return Keyring()
    return keyfile.load(
        root,
        styles,
        keys_file=keys_file,
        variables=providers.key_variables(provider),
        section=section(provider),
    )
