"""The HTTP session with the export API: who we are, where that may be said, and what answers mean."""

from __future__ import annotations

import contextlib
import json as jsonlib
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urljoin

import requests
from requests import exceptions as problems
from urllib3.exceptions import HTTPError

import hauserpy
from hauserpy.errors import AccessDenied, ApiUnavailable, ConfigError, RateLimited
from hauserpy.export.body import MAX_JSON, HttpBody, parse_object, read_bytes
from hauserpy.export.failures import explained, impossible
from hauserpy.export.identity import Identity
from hauserpy.export.origin import Origin
from hauserpy.export.pacing import Pacer, date_of, retry_after
from hauserpy.export.request import Request
from hauserpy.export.retry import LONGEST_WAIT, Again, Patience
from hauserpy.export.source import SourceClosed
from hauserpy.export.transport import Adapter, Sockets
from hauserpy.waiting import Timing

if TYPE_CHECKING:
    from hauserpy.config import Settings

T = TypeVar("T")

FIRST_BYTE = 5
"""How many times ReadTimeout the first byte of a bundle may take: it is generated on demand."""

_MOST_REDIRECTS = 5
_MAX_MESSAGE = 64 * 1024
_TAKEN_AT_ITS_WORD = 4
"""So many answers of 429 in a row; then the waits grow, whatever the API asks for."""
_MOST_RATE_WAITS = 4
"""How many times RetryAfterMax one request is put off by 429 answers in a row, in all."""


class _Bearing(requests.auth.AuthBase):
    """Puts our headers on a request. Being an ``auth`` of its own, empty or not, it also keeps
    requests from taking a user and password for the host out of ~/.netrc."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers.update(self._headers)
        return prepared


class Http:
    """A session with one API host. Safe to use from several threads.

    Retries as `Patience` says: dropped connections, time-outs, 5xx, no JSON where JSON should be.
    429 waits as told and uses up no tries. 401 and 403 are AccessDenied, other 4xx ConfigError, at
    once. The token and the additional headers go to the origin of ``ApiURL`` and nowhere else, not
    over plain http unless it is this machine's, and not through a proxy in the clear.
    """

    def __init__(self, settings: Settings, timing: Timing) -> None:
        """Raises ConfigError for a URL, token or header that cannot be used."""
        self._base = settings.api_url.rstrip("/")
        self._identity = Identity.of(settings)
        self._origin = self._identity.origin
        self._connect = settings.connect_timeout.total_seconds()
        self._read = settings.read_timeout.total_seconds()
        self._bundle = settings.bundle_timeout.total_seconds()
        self._longest_wait = settings.retry_after_max.total_seconds()
        self._timing = timing
        self._pacer = Pacer(self._longest_wait, timing)
        self.patience = Patience(
            settings.backoff.total_seconds(), settings.backoff_steps_max, timing.sleep
        )
        self._sockets = Sockets(self._read)
        self._closed = False
        self._ahead = 0.0
        self._session = requests.Session()
        adapter = Adapter(self._sockets)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update(
            {
                "User-Agent": f"hauserpy/{hauserpy.__version__}",
                # What is asked for is what `body` can take off again.
                "Accept-Encoding": "gzip",
            }
        )

    def url(self, path: str) -> str:
        """``path`` (already quoted) below ApiURL."""
        return f"{self._base}/{path}"

    def json(self, request: Request, *, tries: int | None = None) -> tuple[int, dict[str, Any]]:
        """Ask for a JSON object: (status, the object). An empty one for a status that
        ``request.allow`` lets through."""

        def attempt() -> tuple[int, dict[str, Any]]:
            with contextlib.closing(self.exchange(request)) as response:
                if response.status_code in request.allow:
                    return response.status_code, {}
                return response.status_code, self.object_of(response, request.what)

        return self.patience.run(attempt, request.what, tries=tries)

    def object_of(self, response: requests.Response, what: str) -> dict[str, Any]:
        """The JSON object of an answer; raises Again for a page of a proxy, say."""
        data = read_bytes(
            response, what, most=MAX_JSON, limit=FIRST_BYTE * self._read, timing=self._timing
        )
        return self._parse(response, data)

    def open(self, request: Request, *, tries: int | None = None) -> requests.Response:
        """Ask for a download, with retries up to the head of the answer."""
        return self.patience.run(lambda: self.attempt(request), request.what, tries=tries)

    def attempt(self, request: Request) -> requests.Response:
        """Ask once, but for 429. Raises Again where `Patience` would try again."""
        response = self.exchange(request)
        if response.status_code != 200 and response.status_code not in request.allow:
            # 206 would be a part, 204 nothing at all.
            response.close()
            raise Again(f"{host_of(response)} answered {response.status_code} to a download")
        return response

    def exchange(self, request: Request) -> requests.Response:
        """Send, wait as often as 429 asks for it, and raise what statuses other than 2xx and those
        in ``request.allow`` mean: Again where `Patience` would try again."""
        waited = 0.0
        times = 0
        while True:
            self._pacer.wait(request.endpoint, request.what, hurried=request.hurried)
            response = self._follow(request)
            self._compare_clocks(response)
            status = response.status_code
            if 200 <= status < 300 or status in request.allow:
                return response
            with contextlib.closing(response):
                asked = retry_after(response.headers.get("Retry-After"), self._timing.clock())
                if status != 429:
                    self._refuse(request, response, asked)
            if asked is None or (asked <= self._longest_wait and times >= _TAKEN_AT_ITS_WORD):
                most = min(LONGEST_WAIT.total_seconds(), self._longest_wait)
                asked = max(asked or 0.0, min(self.patience.backoff * 2.0 ** min(times, 30), most))
            if asked > self._longest_wait:
                raise self._pacer.refuse(request.endpoint, asked, request.what)
            times += 1
            waited += max(1.0, asked)
            self._pacer.hold(request.endpoint, max(1.0, asked))
            if waited > _MOST_RATE_WAITS * self._longest_wait:
                raise RateLimited(
                    f"{request.what}: the API answered 429 {times} times in a row.",
                    "Run again later; look for something else that uses up the API's rate limit.",
                )

    def body(self, response: requests.Response, what: str) -> HttpBody:
        """The body of `open`'s answer; BundleTimeout runs from here."""
        return HttpBody(
            response,
            what,
            limit=self._bundle,
            idle=self._read,
            timing=self._timing,
            closed=lambda: self._closed,
        )

    @property
    def ahead(self) -> float:
        """By how many seconds this machine's clock is ahead of the API's, as its last answer says."""
        return self._ahead

    @property
    def first_byte(self) -> float:
        """Seconds that the first byte of a bundle may take."""
        return min(FIRST_BYTE * self._read, self._bundle)

    def masked(self, text: str) -> str:
        """What a server said, without our secrets, which it may echo."""
        return self._identity.masked(text)

    def told(self, response: requests.Response) -> str:
        """Who answered what, with the API's own words: ``host answered 401 (no such key)``."""
        return f"{host_of(response)} answered {response.status_code}{self._message(response)}"

    def is_ours(self, response: requests.Response) -> bool:
        """Whether the API itself answered, which the token is for, and no host behind a redirect."""
        return host_of(response) == str(self._origin)

    def remedy(self, request: Request, response: requests.Response) -> str:
        """What to do about a 401 or 403."""
        if not request.ours:
            return "A proxy or firewall may forbid this host."
        if not self.is_ours(response):
            return (
                f"{self._origin} redirected there, and the token is sent to no other host: set"
                " ApiURL to where your account's API is."
            )
        return self._identity.remedy()

    def close(self) -> None:
        """Drop all connections, also those that other threads read from."""
        self._closed = True
        self._session.close()
        self._sockets.abort()

    def _compare_clocks(self, response: requests.Response) -> None:
        if self.is_ours(response):
            now = self._timing.clock()
            theirs = date_of(response.headers.get("Date")) or now
            # What comes out of a cache tells when it went in.
            self._ahead = 0.0 if "Age" in response.headers else (now - theirs).total_seconds()

    def _parse(self, response: requests.Response, data: bytes) -> dict[str, Any]:
        try:
            return parse_object(data, response.headers.get("Content-Type", ""))
        except Again as again:
            raise Again(f"{host_of(response)} {again.reason}") from None

    def _refuse(
        self, request: Request, response: requests.Response, asked: float | None
    ) -> NoReturn:
        """Raise what a status other than 2xx and 429 means."""
        status = response.status_code
        said = f"{request.what}: {self.told(response)}"
        if status in (401, 403):
            raise AccessDenied(f"{said}.", self.remedy(request, response))
        if status == 407:
            raise AccessDenied(f"{said}.", "Check the user and password of the proxy.")
        if status >= 500 or status in (408, 425):
            if asked is not None and asked > self._longest_wait:
                raise self._pacer.refuse(request.endpoint, asked, request.what)
            raise Again(self.told(response), at_least=asked or 0.0)
        if status >= 400:
            raise ConfigError(f"{said}.", "Check ApiURL, ExportApi and what is asked for.")
        raise Again(f"{host_of(response)} answered {status}, which is no answer to this")

    def _message(self, response: requests.Response) -> str:
        """`` (the API's own words)``, short, on one line and without our secrets; or nothing."""
        try:
            data = read_bytes(
                response, "an error", most=_MAX_MESSAGE, limit=self._read, timing=self._timing
            )
        except (Again, ApiUnavailable):
            return ""
        try:
            found = jsonlib.loads(data)
            text = str(found["message"] or found["code"]) if isinstance(found, dict) else ""
        except (ValueError, KeyError, RecursionError):
            # A page, or JSON that is none: not worth reading.
            plain = data.lstrip()[:1] not in (b"<", b"{", b"[", b"")
            text = data.decode("utf-8", "replace") if plain else ""
        text = self._identity.masked(text)
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        if not text:
            return ""
        return f" ({text[:200]}…)" if len(text) > 200 else f" ({text})"

    def _follow(self, request: Request) -> requests.Response:
        """Send and follow redirects. Our headers go along only while the origin is the API's, and
        never again after it once was not (requests would drop Authorization alone)."""
        url, method, json, params = request.url, request.method, request.json, request.params
        origin = self._allowed(url, None if request.ours else self._origin, request.what)
        ours = request.ours
        for _ in range(_MOST_REDIRECTS + 1):
            ours = ours and origin == self._origin
            response = self._send(request, url, method, json, params, ours=ours, origin=origin)
            if not response.is_redirect:
                return response
            try:
                target = urljoin(url, self._session.get_redirect_target(response) or "")
            except ValueError:
                target = ""
            response.close()
            origin, url, params = self._allowed(target, origin, request.what), target, None
            if response.status_code == 303 or (
                response.status_code in (301, 302) and method == "POST"
            ):
                method, json = "GET", None
        raise ApiUnavailable(
            f"{request.what}: {self._origin} redirects in a circle.", "Check ApiURL."
        )

    def _allowed(self, url: str, before: Origin | None, what: str) -> Origin:
        """The origin of ``url``, when an answer of ``before`` may lead there."""
        try:
            origin = Origin.of(url)
        except ValueError as error:
            raise ApiUnavailable(
                f"{what}: {before or 'the API'} sends us to an invalid address: {error}.",
                "Check ApiURL.",
            ) from None
        allowed = origin.private if before is None else before.may_lead_to(origin)
        if not allowed:
            raise ApiUnavailable(
                f"{what}: {before or 'the API'} sends us to {origin.scheme}://{origin}, where others"
                " could read along.",
                "Check ApiURL; hauserpy goes on over https only.",
            )
        return origin

    def _send(
        self,
        request: Request,
        url: str,
        method: str,
        json: Any,
        params: Mapping[str, str] | None,
        *,
        ours: bool,
        origin: Origin,
    ) -> requests.Response:
        """One request, one answer."""
        if self._closed:
            raise SourceClosed(f"{request.what}: the session was closed.", "Run again.")
        session = self._session
        first_byte = self._read if request.first_byte is None else request.first_byte
        bearing = _Bearing(self._identity.headers if ours else {})
        try:
            try:
                prepared = session.prepare_request(
                    requests.Request(method, url, params=params, json=json, auth=bearing)
                )
            except problems.InvalidHeader:
                # From send() it would be a header of the answer.
                raise impossible(request.what, origin) from None
            settings = session.merge_environment_settings(url, {}, True, None, None)
            if origin.loopback:
                # A proxy would get what may be said to this machine only.
                settings["proxies"] = {}
            # Not session.send(): it would read all that comes with a redirect, followed or not.
            adapter = session.get_adapter(url)
            return adapter.send(
                prepared,
                stream=True,
                timeout=(self._connect, first_byte),
                verify=settings["verify"] or True,
                cert=settings["cert"],
                proxies=settings["proxies"],
            )
        except (requests.RequestException, HTTPError, OSError, UnicodeError) as error:
            if self._closed:
                raise SourceClosed(
                    f"{request.what}: the session was closed.", "Run again."
                ) from None
            raise explained(
                error, request.what, origin, connect=self._connect, first_byte=first_byte
            ) from None


def host_of(response: requests.Response) -> str:
    """The host that answered, after redirects."""
    return str(Origin.of(response.url))
