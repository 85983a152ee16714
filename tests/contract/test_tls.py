"""Stores by TLS: a server is who its certificate says, or nothing is sent to it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from service.adapters.redis_clients import AsyncClient, Server, SyncClient
from service.commands.stores import examine, transport
from service.embedded import EmbeddedValkey
from service.errors import ConfigurationError, StoreUnavailable
from service.settings import PREFIX, load_settings
from tests.contract.tls import terminated


class Authority:
    """An authority and its file."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = folder / "ca.pem"
        folder.mkdir(exist_ok=True)
        self.ca.cert_pem.write_to_path(self.file)

    def context(self, name: str, asks: bool = False) -> ssl.SSLContext:
        """Of a server of that name. asks: for a client's certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            self.ca.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def secure(valkey: EmbeddedValkey, authority: Authority) -> Iterator[str]:
    with store(valkey, authority.context("localhost")) as url:
        yield url


@contextmanager
def store(valkey: EmbeddedValkey, context: ssl.SSLContext) -> Iterator[str]:
    with terminated(urlsplit(valkey.state_url).path, context) as port:
        yield f"rediss://localhost:{port}/0"


def server(url: str, **settings: object) -> Server:
    """As the service connects to its state."""
    return Server(load_settings(state_url=url, **settings).stores()[1], timeout=5.0)


def ping(of: Server) -> object:
    client = SyncClient(of)
    try:
        return client.run("PING")
    finally:
        client.close()


@pytest.mark.anyio
async def test_a_server_is_reached_whose_certificate_is_of_our_authority(secure: str, authority: Authority) -> None:
    reached = server(secure, tls_ca=authority.file)
    assert ping(reached) is True
    client = AsyncClient(reached)
    assert await client.run("PING") is True
    await client.aclose()


def test_a_certificate_of_another_authority_is_refused(secure: str, tmp_path: Path) -> None:
    for settings in ({"tls_ca": Authority(tmp_path / "other").file}, {}):
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            ping(server(secure, **settings))


def test_a_certificate_of_another_name_is_refused(valkey: EmbeddedValkey, authority: Authority) -> None:
    with (
        store(valkey, authority.context("elsewhere.example")) as url,
        pytest.raises(StoreUnavailable, match="Hostname mismatch"),
    ):
        ping(server(url, tls_ca=authority.file))


def test_a_server_that_asks_who_we_are_is_told(valkey: EmbeddedValkey, authority: Authority, tmp_path: Path) -> None:
    mine = authority.ca.issue_cert("peregrine")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in mine.cert_chain_pems))
    mine.private_key_pem.write_to_path(key)
    with store(valkey, authority.context("localhost", asks=True)) as url:
        assert ping(server(url, tls_ca=authority.file, tls_cert=certificate, tls_key=key)) is True
        with pytest.raises(StoreUnavailable):
            ping(server(url, tls_ca=authority.file))


def test_files_go_to_servers_by_tls_alone_and_what_the_url_says_wins(authority: Authority) -> None:
    ca = str(authority.file)
    settings = load_settings(log_url="redis://log/0", state_url="rediss://me:secret@state/0?db=3", tls_ca=ca)
    log_url, state_url = settings.stores()
    assert log_url == "redis://log/0"
    assert urlsplit(state_url).netloc == "me:secret@state"
    assert parse_qs(urlsplit(state_url).query) == {"ssl_ca_certs": [ca], "db": ["3"]}
    given = load_settings(state_url="rediss://state/0?ssl_ca_certs=/other.pem", tls_ca=ca).stores()[1]
    assert given == "rediss://state/0?ssl_ca_certs=%2Fother.pem"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"{PREFIX}TLS_CA=.*gone\.pem"):
        load_settings(tls_ca=tmp_path / "gone.pem")


@pytest.mark.parametrize(
    ("url", "verdict", "found"),
    [
        ("redis://127.0.0.1:{port}", "ok", "does not leave this machine"),
        ("rediss://me:secret@store.example:{port}", "ok", "TLS, as user me"),
        ("rediss://store.example:{port}", "note", "TLS, without a password"),
        ("redis://me:secret@store.example:{port}", "note", "not encrypted"),
        ("rediss://store.example:{port}?ssl_cert_reqs=none", "fail", "nobody checks whose certificate it is"),
        ("rediss://store.example:{port}?ssl_check_hostname=False", "fail", "nobody checks whose certificate it is"),
    ],
)
def test_doctor_says_who_could_read_along(url: str, verdict: str, found: str) -> None:
    finding = transport(url.format(port=6379))
    assert finding.verdict == verdict
    assert found in finding.found
    assert "secret" not in finding.found


def test_doctor_looks_at_the_way_to_each_store(secure: str, authority: Authority) -> None:
    url = server(secure, tls_ca=authority.file).url
    assert [finding.verdict for finding in examine("state", url, "peregrine", 5.0) if finding.what == "transport"] == [
        "ok"
    ]
