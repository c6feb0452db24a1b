"""Why a request got no answer. Messages are made from the kind of the error alone: those of requests may
quote a signed URL or a header."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from requests import exceptions as problems

from hauserpy.errors import ApiUnavailable, ConfigError
from hauserpy.export.origin import Origin
from hauserpy.export.retry import Again
from hauserpy.waiting import span

_IMPOSSIBLE = (
    problems.InvalidURL,
    problems.MissingSchema,
    problems.InvalidSchema,
    UnicodeError,
)


def explained(
    error: Exception, what: str, origin: Origin, *, connect: float, first_byte: float
) -> Exception:
    """What to raise for an error met while ``what`` was asked of ``origin``: Again where the next try may
    go well. ``connect`` and ``first_byte`` are the time-outs, in seconds."""
    if isinstance(error, _IMPOSSIBLE):
        return impossible(what, origin)
    causes = list(_causes(error))
    if any(isinstance(c, ssl.SSLCertVerificationError) for c in causes):
        return ApiUnavailable(
            f"{what}: the certificate of {origin} cannot be verified.",
            "Check this machine's clock, and REQUESTS_CA_BUNDLE when a proxy inspects TLS.",
        )
    told = next((f" ({c.strerror})" for c in causes if isinstance(c, OSError) and c.strerror), "")
    if isinstance(error, problems.ConnectTimeout):
        return Again(f"{origin} accepted no connection within {span(connect)}")
    if isinstance(error, problems.ReadTimeout):
        return Again(f"{origin} did not answer within {span(first_byte)}")
    if isinstance(error, problems.ProxyError):
        return Again(f"the proxy could not reach {origin}{told}")
    if isinstance(error, problems.SSLError):
        return Again(f"no TLS connection with {origin}{told}")
    return Again(f"no connection with {origin}, or it broke{told}")


def impossible(what: str, origin: Origin) -> ConfigError:
    """For a request that cannot even be written."""
    return ConfigError(
        f"{what}: a request to {origin} cannot be made.",
        "Check ApiURL, AdditionalHttpHeader and the proxy variables of the environment.",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what is behind it: requests hides the reason in arguments and contexts."""
    seen: set[int] = set()
    found: list[BaseException] = [error]
    while found:
        one = found.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        behind = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        found += [b for b in behind if isinstance(b, BaseException)]
