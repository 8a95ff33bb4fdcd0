# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each image of the catalog, from a server that lays out files as its distribution does."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from maglica.image import catalog, sums
from maglica.image.catalog import Entry
from maglica.image.checksum import Checksum, SumsFile
from maglica.model.errors import ChecksumUnknown
from maglica.model.urls import shown
from maglica.system import download
from maglica.system.backoff import Backoff
from maglica.system.download import Patience
from support.web_server import Site

HURRY = Patience(silence=5, tries=2, pauses=Backoff(0.001, 0.001))
# An image, and another one in the same folder.
IMAGE, OTHER = b"QFI\xfb" + bytes(range(256)) * 400, b"QFI\xfb other"


def gnu(algorithm: str, mark: str = " ") -> object:
    def write(name: str) -> str:
        listed = {f"other-{name}": OTHER, name: IMAGE, f"{name}.manifest": b""}
        lines = (
            f"{hashlib.new(algorithm, data).hexdigest()} {mark}{each}\n"
            for each, data in listed.items()
        )
        return "".join(lines)

    return write


def bsd(name: str) -> str:
    return "".join(
        f"# {each}: {len(data)} bytes\nSHA256 ({each}) = {hashlib.sha256(data).hexdigest()}\n"
        for each, data in {f"other-{name}": OTHER, name: IMAGE}.items()
    )


def signed(name: str) -> str:
    return (
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{bsd(name)}"
        "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCAAdFiEE\n=Zx1k\n-----END PGP SIGNATURE-----\n"
    )


def one(name: str) -> str:
    return f"{hashlib.sha256(IMAGE).hexdigest()}  {name}\n"


def alone(_name: str) -> str:
    return hashlib.sha512(IMAGE).hexdigest()


WRITTEN = {
    "almalinux": gnu("sha256"),
    "alpine": alone,
    "arch": one,
    "debian": gnu("sha512"),
    "fedora": signed,
    "opensuse-leap": one,
    "rocky": bsd,
    "ubuntu": gnu("sha256", "*"),
}


@pytest.mark.parametrize("entry", catalog.CATALOG, ids=lambda entry: entry.name)
def test_an_image_of_the_catalog(entry: Entry, site: Site, tmp_path: Path) -> None:
    assert isinstance(entry.checksum, SumsFile)
    write = WRITTEN[entry.name.rstrip("0123456789.").rstrip("-")]
    site.files[urlsplit(entry.url).path] = IMAGE
    text = write(entry.origin().file_name)  # type: ignore[operator]
    site.files[urlsplit(entry.checksum.url).path] = text.encode()
    origin = at(site, entry).origin()
    assert isinstance(origin.checksum, SumsFile)
    assert origin.url is not None

    listed = download.read(origin.checksum.url, sums.MAX_BYTES, HURRY)
    checksum = sums.find(listed, origin.file_name, shown(origin.checksum.url))
    expected = hashlib.new(checksum.algorithm, IMAGE).hexdigest()
    assert checksum == Checksum(checksum.algorithm, expected)
    size = download.fetch(
        origin.url,
        tmp_path / "part",
        algorithm=checksum.algorithm,
        digest=checksum.digest,
        most=1 << 30,
        progress=lambda done, total: None,
        patience=HURRY,
    )
    assert size == len(IMAGE)
    assert (tmp_path / "part").read_bytes() == IMAGE


@pytest.mark.parametrize(
    "command",
    [
        ("sha256sum",),
        ("sha256sum", "--binary"),
        ("sha512sum", "--tag"),
        ("b2sum", "--tag", "--length=256"),
        ("openssl", "dgst", "-sha256"),
        ("openssl", "dgst", "-sha512", "-r"),
    ],
    ids=" ".join,
)
def test_what_programs_write(command: tuple[str, ...], tmp_path: Path) -> None:
    names = ["plain.img", "a b (c) = d.img", " *.img"]
    if command[0] != "openssl":
        # It writes names as they are.
        names += ["a\\b.img", "a\nb.img", "\\.img"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    done = subprocess.run([*command, *names], cwd=tmp_path, check=True, capture_output=True)
    for name in names:
        data = name.encode()
        if command[0] == "b2sum":
            with pytest.raises(ChecksumUnknown):
                sums.find(done.stdout, name, "here")
            continue
        algorithm = "sha512" if "512" in " ".join(command) else "sha256"
        expected = Checksum(algorithm, hashlib.new(algorithm, data).hexdigest())
        assert sums.find(done.stdout, name, "here") == expected


def at(site: Site, entry: Entry) -> Entry:
    """Return an entry whose addresses are the site's."""
    assert isinstance(entry.checksum, SumsFile)
    server = "https://" + urlsplit(entry.url).netloc
    return replace(
        entry,
        url=entry.url.replace(server, site.url),
        checksum=SumsFile(entry.checksum.url.replace(server, site.url)),
    )
