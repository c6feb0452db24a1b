"""Which server a URL leads to, and whether it may be asked at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from hauserpy.config.urls import is_loopback


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port (RFC 6454): what must be equal for our headers to go along."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """The host as messages name it, with its port unless that is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in (80, 443) else f"{host}:{self.port}"

    @classmethod
    def of(cls, url: str) -> Self:
        """Raises ValueError for what is no http(s) URL, or holds a user or a password."""
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        if scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is not an http(s) URL")
        if "@" in parts.netloc:
            raise ValueError("it holds a user or a password")
        return cls(scheme, parts.hostname.lower(), parts.port or (443 if scheme == "https" else 80))

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def private(self) -> bool:
        """Whether nobody on the network can read along: TLS, or this machine."""
        return self.scheme == "https" or self.loopback

    def may_lead_to(self, other: Origin) -> bool:
        """Whether an answer from here may send us there: over TLS, or from this machine to itself
        (a server elsewhere has no business with what listens on our loopback)."""
        return other.scheme == "https" or (self.loopback and other.loopback)
