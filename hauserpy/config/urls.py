"""URLs of servers that get our credentials: which are allowed, and which are on this machine."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

from hauserpy.config.kinds import UNSET, Kind, shown
from hauserpy.config.names import Unfit
from hauserpy.config.secret import MASK


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine: ``localhost``, 127.0.0.0/8, ::1. No name is looked up, since
    the answer could be another one when the connection is made."""
    if not host:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def reaches_loopback(endpoint: str | None) -> bool:
    """Whether an Endpoint is on this machine, where no credentials are needed."""
    return endpoint is not None and is_loopback(urlsplit(endpoint).hostname)


def _split(url: str) -> SplitResult:
    if any(ord(c) <= 0x20 or c in "\x7f\\" for c in url):
        raise Unfit("it holds a space, a backslash or a control character")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Unfit("it is not a URL") from error
    if parts.scheme not in {"http", "https"}:
        raise Unfit("it does not begin with https://")
    if "@" in parts.netloc:
        raise Unfit("it holds a user or a password")
    if not parts.hostname or port == 0:
        raise Unfit("it names no server")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise Unfit("it has a query or a fragment")
    return parts


def _quoted(value: object) -> str:
    """Without a user and password, which someone may have put in."""
    if isinstance(value, str):
        return shown(re.sub(r"(?s)(^[a-zA-Z]*:?/*)[^/]*@|^.*@", rf"\1{MASK}@", value))
    return shown(value)


def api_url() -> Kind:
    """The export API gets the token: https, or plain http to this machine only."""

    def read(value: object) -> Any:
        if not isinstance(value, str):
            raise Unfit("it is not a string")
        if not value:
            return UNSET
        parts = _split(value)
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise Unfit("the token would cross the network in the clear over plain http")
        return value.rstrip("/")

    return Kind(
        "an https:// URL, or an http:// one of this machine (localhost, 127.0.0.1, [::1])",
        read,
        quote=_quoted,
    )


def endpoint() -> Kind:
    """Another server for an SDK: a compatible store, a stand-in."""

    def read(value: object) -> str | None:
        if not isinstance(value, str):
            raise Unfit("it is not a string")
        if not value:
            return None
        _split(value)
        return value.rstrip("/")

    return Kind(
        "an https:// or http:// URL without user, query and fragment",
        read,
        show=lambda value: shown(value or ""),
        quote=_quoted,
    )
