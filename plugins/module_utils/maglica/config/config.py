# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""maglica.conf: one INI file for all parts; each reads the sections that it needs.

``load`` reads a file, ``parse`` is pure. What is wrong is told as ``FILE:LINE: [section] option:
what is wrong``; a section or option that is not known is an error.
"""

from __future__ import annotations

import configparser
import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..image import catalog
from ..image.origin import FORMATS
from ..model.errors import ConfigInvalid, NameInvalid
from ..model.memory_limit import MemoryLimit
from . import values
from .places import Place, lines_of, syntax_error

DEFAULT_PATH = "/etc/maglica/maglica.conf"
PATH_VARIABLE = "MAGLICA_CONFIG"

_HOST_SECTION = "host "
_IMAGE_SECTION = "image "

Section = TypeVar("Section")


@dataclass(frozen=True)
class ClientWorker:
    """Where the client worker is; ``public_key`` (Z85) is its own, to be sure that it is the one.

    They are two, with a blank between, while it gets a new one. ``insecure`` turns CURVE off, on
    loopback addresses only.
    """

    address: str
    publish_port: int = 5555
    request_port: int = 5556
    public_key: str | None = None
    insecure: bool = False


@dataclass(frozen=True)
class ClientWorkerService:
    """What the client worker itself needs. ``host_timeout`` and ``retention`` are seconds.

    Of a host's memory less ``memory_reserve`` (MiB), ``memory_overcommit`` times as much may be
    committed to vms, if the host's own section says nothing else. ``imports_at_once`` is how many
    images all hosts together fetch and unpack at once.
    """

    secret_key_file: Path
    access_file: Path
    journal: Path = Path("/var/lib/maglica-client-worker/client_worker.sqlite")
    bind: str = "0.0.0.0"  # noqa: S104 - hosts on other machines connect to it
    host_timeout: float = 15
    retention: float = 604800
    memory_overcommit: float = MemoryLimit.overcommit
    memory_reserve: int = MemoryLimit.reserve_mib
    imports_at_once: int = 4

    def memory_limit(self, host: HostEntry) -> MemoryLimit:
        """Return how much of a host's memory may be committed."""
        overcommit, reserve = host.memory_overcommit, host.memory_reserve
        return MemoryLimit(
            self.memory_overcommit if overcommit is None else overcommit,
            self.memory_reserve if reserve is None else reserve,
        )


@dataclass(frozen=True)
class Library:
    """Who this machine's user is to the client worker, by a file or by the secret key itself."""

    secret_key_file: Path | None
    secret_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class HostWorker:
    """What a host worker needs. ``hello_interval`` is in seconds, the jobs are how many at once.

    ``job_silence`` is how many seconds a job may show no progress before it is taken for hung.
    ``image_pattern`` must match an original image's whole name; ``pools`` empty means all.
    ``prepare`` names the images whose bases are made ahead of the first clone. ``adopt``: whether
    vms of others may be taken over.
    """

    name: str
    secret_key_file: Path
    uri: str = "qemu:///system"
    state_dir: Path = Path("/var/lib/maglica-host-worker")
    hello_interval: float = 5
    clone_jobs: int = 1
    quick_jobs: int = 4
    job_silence: float = 300
    accel: str = "auto"
    image_pattern: re.Pattern[str] | None = None
    pools: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    adopt: bool = True

    def may_be_image(self, name: str) -> bool:
        """Tell whether no pattern keeps a domain of that name from being an original image."""
        return self.image_pattern is None or self.image_pattern.fullmatch(name) is not None


@dataclass(frozen=True)
class HostEntry:
    """A host as the client sees it: libvirt's URI from there, and its share of the work.

    What is None is as the client worker's section says.
    """

    name: str
    uri: str
    weight: float = 1
    memory_overcommit: float | None = None
    memory_reserve: int | None = None


@dataclass(frozen=True)
class Config:
    """A whole file; a section that is not there is None.

    ``searched`` are files of which none is there; then nothing else is. ``elsewhere`` says of
    sections where else what they have could be said (see ``chosen``).
    """

    path: Path
    client_worker: ClientWorker | None = None
    client_worker_service: ClientWorkerService | None = None
    library: Library | None = None
    host_worker: HostWorker | None = None
    hosts: tuple[HostEntry, ...] = ()
    images: tuple[catalog.Entry, ...] = ()
    searched: tuple[Path, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def need_client_worker(self) -> ClientWorker:
        return self._need(self.client_worker, "client_worker")

    def need_client_worker_service(self) -> ClientWorkerService:
        return self._need(self.client_worker_service, "client_worker_service")

    def need_library(self) -> Library:
        return self._need(self.library, "library")

    def need_host_worker(self) -> HostWorker:
        return self._need(self.host_worker, "host_worker")

    def need_hosts(self) -> tuple[HostEntry, ...]:
        """Return the hosts; without any, every question about a vm would have the answer no."""
        return self._need(self.hosts or None, "host NAME")

    def _need(self, section: Section | None, name: str) -> Section:
        if section is None:
            raise ConfigInvalid(self.lacking(name))
        return section

    def lacking(self, name: str) -> str:
        """Return the error of a section that is not there, with the places that were looked at."""
        text = f"section [{name}] is missing"
        if self.searched:
            text += f": there is no {' and no '.join(map(str, self.searched))}"
        else:
            text = f"{self.path}: {text}"
        return ", ".join(filter(None, (text, self.elsewhere.get(name))))


def default_path() -> str:
    """Return the file that a worker reads when none is named: $MAGLICA_CONFIG, else /etc's."""
    return os.environ.get(PATH_VARIABLE) or DEFAULT_PATH


def load(path: str | os.PathLike[str]) -> Config:
    """Read the file ``path``. Raises ConfigInvalid when it can't be read or used."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigInvalid(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"cannot read {path}: it is not UTF-8") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Return what ``text`` says; relative paths in it are taken from the folder of ``path``."""
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), interpolation=None, default_section=""
    )
    try:
        parser.read_string(text, str(path))
    except configparser.Error as error:
        raise syntax_error(error, path) from None
    lines = lines_of(text)
    sections: dict[str, Any] = {}
    hosts: dict[str, HostEntry] = {}
    images: dict[str, catalog.Entry] = {}
    for title in parser.sections():
        where = Place(path, lines, title)
        if title.startswith(_HOST_SECTION):
            host = where.name(_HOST_SECTION, hosts)
            known = {"name": host, "uri": values.default_uri(host)}
            hosts[host] = _section(HostEntry, _HOST, parser[title], where, **known)
        elif title.startswith(_IMAGE_SECTION):
            image = where.name(_IMAGE_SECTION, images)
            images[image] = _section(catalog.Entry, _IMAGE, parser[title], where, name=image)
        elif title in _SECTIONS:
            cls, readers = _SECTIONS[title]
            sections[title] = _section(cls, readers, parser[title], where)
        else:
            raise where.error("", "there is no such section")
    result = Config(
        path=path, hosts=tuple(hosts.values()), images=tuple(images.values()), **sections
    )
    _check_keys_and_addresses(result, lines)
    return result


def _section(
    cls: type[Section],
    readers: Mapping[str, values.Reader],
    options: Mapping[str, str],
    where: Place,
    **known: Any,
) -> Section:
    found = dict(known)
    for option, value in options.items():
        if option not in readers:
            raise where.error(option, "there is no such option")
        found[option] = where.read(option, readers[option], value)
    for each in dataclasses.fields(cls):  # type: ignore[arg-type]
        if each.default is dataclasses.MISSING and each.name not in found:
            raise where.error("", f"option {each.name} is missing")
    try:
        return cls(**found)
    except NameInvalid as error:
        raise where.error("", error) from None


def _check_keys_and_addresses(config: Config, lines: Mapping[tuple[str, str], int]) -> None:
    peer, service = config.client_worker, config.client_worker_service
    if peer is None:
        return
    where = Place(config.path, lines, "client_worker")
    if peer.insecure and not values.is_loopback(peer.address):
        raise where.error("insecure", f"refused, because {peer.address} is no loopback address")
    if peer.insecure and service and not values.is_loopback(service.bind):
        where = Place(config.path, lines, "client_worker_service")
        raise where.error("bind", f"insecure is refused on {service.bind}, no loopback address")
    if (config.library or config.host_worker) and not peer.insecure and not peer.public_key:
        raise where.error("", "option public_key is missing")


_MEMORY: dict[str, values.Reader] = {
    "memory_overcommit": values.positive,
    "memory_reserve": values.whole(0, 64 << 20),
}
_HOST: dict[str, values.Reader] = {"uri": values.uri, "weight": values.positive, **_MEMORY}
# An entry of the user's own in the catalog of images.
_IMAGE: dict[str, values.Reader] = {
    "url": values.web_address,
    "checksum": values.checksum,
    "firmware": values.firmware,
    "user": values.word,
    "format": values.one_of(FORMATS),
    "notes": values.line,
}
_SECTIONS: dict[str, tuple[type, dict[str, values.Reader]]] = {
    "client_worker": (
        ClientWorker,
        {
            "address": values.address,
            "publish_port": values.whole(1, 65535),
            "request_port": values.whole(1, 65535),
            "public_key": values.one_or_two_keys,
            "insecure": values.boolean,
        },
    ),
    "client_worker_service": (
        ClientWorkerService,
        {
            "bind": values.bind,
            "secret_key_file": values.path,
            "access_file": values.path,
            "journal": values.path,
            "host_timeout": values.positive,
            "retention": values.positive,
            "imports_at_once": values.whole(1, 1000),
            **_MEMORY,
        },
    ),
    "library": (Library, {"secret_key_file": values.path}),
    "host_worker": (
        HostWorker,
        {
            "name": values.word,
            "secret_key_file": values.path,
            "uri": values.uri,
            "state_dir": values.path,
            "hello_interval": values.positive,
            "clone_jobs": values.whole(1, 64),
            "quick_jobs": values.whole(1, 256),
            "job_silence": values.positive,
            "accel": values.one_of(("auto", "kvm", "tcg")),
            "image_pattern": values.pattern,
            "pools": values.words,
            "prepare": values.words,
            "adopt": values.boolean,
        },
    ),
}
