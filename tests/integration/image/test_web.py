# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a server may send its client, what it is told, and whose certificate is believed."""

from __future__ import annotations

import base64
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.model.errors import DownloadFailed, NameInvalid
from maglica.system import download
from maglica.system.backoff import Backoff
from maglica.system.download import Patience
from support.web_server import Handler, Site, served

HURRY = Patience(silence=5, tries=2, pauses=Backoff(0.001, 0.001))


def read(url: str) -> bytes:
    return download.read(url, 1000, HURRY)


def sent_to(target: str, status: int = 302) -> object:
    return lambda handler: handler.begin(status, Location=target, Content_Length=0)


@pytest.fixture
def other(site: Site) -> Iterator[Site]:
    with served() as other:
        other.files["/a"] = b"abc"
        yield other


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate that no system knows, for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    command += ["-keyout", str(key), "-out", str(pem)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return pem, context


@pytest.fixture
def safe(
    site: Site, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """A site by https whose certificate is known."""
    pem, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with served(context) as safe:
        safe.files["/a"] = b"abc"
        yield safe


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_it_goes_where_the_server_sends_it(site: Site, other: Site, status: int) -> None:
    site.answers["/x"] = sent_to("y", status)  # type: ignore[assignment]
    site.answers["/y"] = sent_to(f"{other.url}/a#part", status)  # type: ignore[assignment]
    assert read(f"{site.url}/x") == b"abc"


def test_a_rest_is_asked_for_where_the_server_sends_it(site: Site, other: Site) -> None:
    data = bytes(100_000)
    other.answers["/a"] = lambda handler: handler.send_file(
        data, 50_000 if len(other.requests) == 1 else None
    )
    site.answers["/x"] = sent_to(f"{other.url}/a")  # type: ignore[assignment]
    assert download.read(f"{site.url}/x", len(data), HURRY) == data
    assert other.asked() == [None, "bytes=50000-"]


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        (
            "file:///etc/passwd",
            "sends one elsewhere, but 'file:///etc/passwd' is not a web address",
        ),
        ("ftp://127.0.0.1/a", "sends one elsewhere, but 'ftp://127.0.0.1/a' is not a web address"),
        ("data:,abc", "is not a web address"),
        ("//user:secret@[/", "the server sends one to what is not an address"),
        ("/x", "the server sends one elsewhere more than 10 times"),
    ],
)
def test_it_does_not_go_everywhere(site: Site, target: str, cause: str) -> None:
    site.answers["/x"] = sent_to(target)  # type: ignore[assignment]
    with pytest.raises(DownloadFailed, match=cause) as caught:
        read(f"{site.url}/x")
    assert str(caught.value).startswith(f"cannot fetch {site.url}/x: ")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "/etc/passwd"])
def test_nothing_but_the_web_is_read(url: str) -> None:
    with pytest.raises(NameInvalid, match="is not a web address"):
        read(url)


def test_what_a_redirection_says_besides_is_not_read(site: Site, other: Site) -> None:
    def answer(handler: Handler) -> None:
        handler.begin(302, Location=f"{other.url}/a")
        while True:
            handler.wfile.write(bytes(1 << 20))

    site.answers["/x"] = answer
    assert read(f"{site.url}/x") == b"abc"


def test_a_user_is_told_to_the_server_that_it_is_for(site: Site, other: Site) -> None:
    site.answers["/x"] = sent_to("/y")  # type: ignore[assignment]
    site.answers["/y"] = sent_to(f"{other.url}/a")  # type: ignore[assignment]
    url = f"{site.url}/x".replace("//", "//us%40er:se%3Acret@")
    assert read(url) == b"abc"
    plain = base64.b64encode(b"us@er:se:cret").decode()
    assert site.asked("authorization") == [f"Basic {plain}"] * 2
    assert other.asked("authorization") == [None]
    with pytest.raises(DownloadFailed) as caught:
        read(url + "z?token=secret")
    assert "cret" not in str(caught.value)


def test_by_a_proxy(site: Site, other: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    site.files["http://example.com/a"] = b"by the proxy"
    assert read("http://example.com/a") == b"by the proxy"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert read(f"{other.url}/a") == b"abc"


def test_by_a_proxy_that_refuses(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", site.url.replace("//", "//user:secret@"))
    with pytest.raises(DownloadFailed, match="cannot fetch https://example") as caught:
        read("https://example.com/a")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://a..example.com/a", ""),
        (f"http://{'a' * 64}.example.com/a", ""),
        ("http://example.com/a", "http:/user:secret@127.0.0.1"),
        ("http://example.com/a", "socks5://user:secret@127.0.0.1:1"),
    ],
)
def test_names_and_proxies_that_are_none(
    site: Site, monkeypatch: pytest.MonkeyPatch, url: str, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(DownloadFailed, match=r"can.t be used|unknown url type") as caught:
        read(url)
    assert "secret" not in str(caught.value)


def test_by_https(safe: Site) -> None:
    assert read(f"{safe.url}/a") == b"abc"


def test_a_certificate_that_nobody_knows(safe: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DownloadFailed, match="certificate verify failed"):
        read(f"{safe.url}/a")
    assert safe.requests == []


def test_a_certificate_of_another_server(safe: Site) -> None:
    with pytest.raises(DownloadFailed, match="certificate verify failed: Hostname mismatch"):
        read(f"{safe.url}/a".replace("127.0.0.1", "localhost"))


def test_never_from_https_to_http(safe: Site, other: Site) -> None:
    safe.answers["/x"] = sent_to(f"{other.url}/a")  # type: ignore[assignment]
    with pytest.raises(DownloadFailed, match=f"sends one from https to {other.url}/a$"):
        read(f"{safe.url}/x")
    assert other.requests == []
    safe.answers["/x"] = sent_to("/a")  # type: ignore[assignment]
    assert read(f"{safe.url}/x") == b"abc"
