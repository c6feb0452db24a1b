"""Who we are to the export API: its origin, the token, and the headers that go there alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from hauserpy.errors import ConfigError
from hauserpy.export.origin import Origin

if TYPE_CHECKING:
    from hauserpy.config import Header, Secret, Settings

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|")
_REGION = re.compile(r"(na|eu)[0-9]+(?=\.)")


@dataclass(frozen=True, slots=True)
class Identity:
    """What may be said to ``origin`` and to nobody else."""

    origin: Origin
    headers: Mapping[str, str] = field(repr=False)
    region: str
    """The region that the key names as its own (``na1``, ``eu1``); empty when it names none."""
    _secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises ConfigError for a URL, token or header that cannot be used."""
        token = settings.require_token()
        headers = _our_headers(token, settings.additional_http_header)
        region = _REGION.match(token.reveal())
        # A short value such as "1" would only tear holes into messages.
        values = (h.value.reveal() for h in settings.additional_http_header)
        secrets = {token.reveal(), *(v for v in values if len(v) >= 6)}
        return cls(
            _base_origin(settings.api_url),
            headers,
            region[0] if region else "",
            tuple(sorted(secrets, key=len, reverse=True)),
        )

    def masked(self, text: str) -> str:
        """``text`` without our secrets, which a server may echo."""
        for secret in self._secrets:
            text = text.replace(secret, "********")
        return text

    def remedy(self) -> str:
        """What to do when the API itself answers 401 or 403."""
        if self.region and not self._at_home():
            return (
                f"FsApiToken begins with {self.region}., the region where it is valid, and ApiURL"
                f" leads to {self.origin}: check that they belong together, and that the key has"
                " the role Admin or Architect."
            )
        return (
            "Check FsApiToken: the key may be revoked, lack a role (Admin or Architect), or belong"
            " to another region than ApiURL."
        )

    def _at_home(self) -> bool:
        """Whether the host is of the key's region; hosts that name none are of na1."""
        named = re.search(r"(?:^|\.)((?:na|eu)[0-9]+)\.", self.origin.host)
        return self.region == (named[1] if named else "na1")


def _base_origin(api_url: str) -> Origin:
    try:
        origin = Origin.of(api_url)
    except ValueError as error:
        raise ConfigError(f"ApiURL cannot be used: {error}.", "Write https://….") from None
    if not origin.private:
        raise ConfigError(
            f"ApiURL leads to {origin} over plain http: the token could be read on its way.",
            "Write https://…; plain http is for this machine only.",
        )
    return origin


def _our_headers(token: Secret, additional: Sequence[Header]) -> dict[str, str]:
    """Authorization, and what AdditionalHttpHeader adds; of a header given twice the last.

    Checked before they are used, since an error of the HTTP library would quote the value.
    """
    made = {"Authorization": f"Basic {token.reveal()}"}
    for header in additional:
        if not _NAME.fullmatch(header.key):
            raise ConfigError(
                f"AdditionalHttpHeader has a Key that is no header name: {header.key[:40]!r}.",
                "Write it like X-Api-Gateway-Key.",
            )
        if not _VALUE.fullmatch(header.value.reveal()):
            raise ConfigError(
                f"AdditionalHttpHeader {header.key} has a Value that no header can hold.",
                "Leave out line breaks, spaces at its ends, and letters beyond ASCII.",
            )
        for name in [n for n in made if n.lower() == header.key.lower()]:
            del made[name]
        made[header.key] = header.value.reveal()
    return made
