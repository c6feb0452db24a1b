"""Over TLS the promises are the same, and a certificate that nobody vouches for ends it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hauserpy.errors import ApiUnavailable
from hauserpy.export.bundles import Bundles
from hauserpy.export.source import SourceClosed
from hauserpy.model import Bundle, Window
from tests.export.conftest import TOKEN, FakeTime, settings_for
from tests.export.scripted import Reply, Scripted, in_turn, json_reply

GOOD = json_reply('{"exports": []}')
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
ONE = Bundle("7", Window(FIRST, FIRST + timedelta(days=1)))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hauserpy tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))


def test_a_certificate_that_nobody_vouches_for_is_told_at_once(
    time: FakeTime, tls: ssl.SSLContext
) -> None:
    with Scripted(in_turn(GOOD), tls) as server:
        source = Bundles(settings_for(server.url), time.timing)
        with pytest.raises(ApiUnavailable, match=r"certificate of 127\.0\.0\.1:\d+ cannot be"):
            list(source.due(None))
        source.close()
        assert server.seen == []
    assert time.slept == []


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_the_environment_s_bundle_is_good(
    time: FakeTime, tls: ssl.SSLContext
) -> None:
    with Scripted(in_turn(GOOD), tls) as server:
        source = Bundles(settings_for(server.url), time.timing)
        assert list(source.due(None)) == []
        source.close()
        assert server.seen[0].headers["authorization"] == f"Basic {TOKEN}"


@pytest.mark.usefixtures("trusted")
def test_the_token_does_not_follow_a_redirect_down_to_plain_http(
    time: FakeTime, tls: ssl.SSLContext
) -> None:
    with Scripted(in_turn(GOOD)) as plain:
        down = Reply(302, headers={"Location": f"{plain.url}/list"})
        with Scripted(in_turn(down), tls) as server:
            source = Bundles(settings_for(server.url), time.timing)
            list(source.due(None))
            source.close()
        assert "authorization" not in plain.seen[0].headers


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("end", ["close", "reset", "hang"])
def test_a_body_that_breaks_off_over_tls_is_never_taken_for_a_whole_one(
    time: FakeTime, tls: ssl.SSLContext, end: str
) -> None:
    cut = Reply(200, b"x" * 100_000, length=100_001, end=end)
    with Scripted(in_turn(cut), tls) as server:
        source = Bundles(settings_for(server.url), time.timing)
        with source.open(ONE) as body, pytest.raises(ApiUnavailable, match="bundle 7"):
            list(body)
        source.close()


@pytest.mark.usefixtures("trusted")
def test_closing_the_source_ends_a_blocked_read_over_tls(
    time: FakeTime, tls: ssl.SSLContext
) -> None:
    hanging = Reply(200, b"x" * 1000, length=1001, end="hang")
    with Scripted(in_turn(hanging), tls) as server:
        patient = settings_for(server.url, read_timeout=timedelta(seconds=60))
        source = Bundles(patient, time.timing)
        with source.open(ONE) as body:
            chunks = iter(body)
            got = 0
            while got < 1000:
                got += len(next(chunks))
            source.close()
            with pytest.raises(SourceClosed):
                next(chunks)
