# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica image``: the original images."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..image import catalog, checksum
from ..image.origin import FORMATS
from ..manage import images, inspection
from ..manage.image_plan import not_there
from ..manage.image_wanted import ImageState, WantedImage, want
from ..manage.outcome import together
from ..model import urls
from ..model.errors import ConfigInvalid, ImageUnknown, MaglicaError
from ..model.image import Firmware
from ..model.plain import plain
from ..model.request import HostStatus, Nic
from ..verbs.inspect import INSPECT
from . import as_json, options, text
from .console import Cloud, Console
from .follow import Follow
from .host import domains


def add_commands(group: options.Group) -> None:
    listing = group.add("list", list_images, "list the original images of all hosts")
    options.host(listing, "only those on this host")
    options.source(listing)
    look = group.add(INSPECT.command, inspect, INSPECT.help)
    look.add_argument("name", metavar="NAME", help="the original image")
    _hosts(look, "every host that has it")
    options.timeout(look)
    group.add("catalog", list_catalog, "list the images that can be had by their name")
    _new_options(group.add(ImageState.PRESENT.verb.command, add, ImageState.PRESENT.verb.help))
    for state, run in (
        (ImageState.ABSENT, remove),
        (ImageState.PREPARED, prepare),
        (ImageState.RELEASED, release),
    ):
        parser = group.add(state.verb.command, run, state.verb.help)
        parser.add_argument("name", metavar="NAME", help="the original image")
        _hosts(parser, "every host that has it")
        options.wait(parser)


def _new_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="its name; without --url and --path, one of the catalog")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--url", type=options.given, help="where the hosts fetch its file")
    source.add_argument("--path", type=options.given, help="a file that is on the hosts already")
    add(
        "--checksum",
        type=options.given,
        metavar="SUM",
        help="sha256:… or sha512:…, or the address of a file of checksums; needed with --url",
    )
    add("--format", choices=FORMATS, help="of the disk, unpacked (default: as the file begins)")
    add("--vcpus", type=options.positive, metavar="N", help="default: 2")
    add(
        "--memory", type=options.size, metavar="SIZE", help="in MiB or such as 4GiB (default: 2GiB)"
    )
    add(
        "--network",
        action="append",
        type=options.given,
        metavar="NAME",
        help="libvirt network of an interface; once for each (default: default)",
    )
    add(
        "--firmware",
        choices=[firmware.value for firmware in Firmware],
        help="default: as the disk says",
    )
    add("--secure-boot", action="store_true", help="let UEFI start only what is signed")
    add("--xml", type=Path, metavar="FILE", help="a definition of your own, libvirt's domain XML")
    add("--pool", type=options.given, help="the storage pool (default: the one with most room)")
    _hosts(parser, "every host that is up")
    options.wait(parser)


def _hosts(parser: argparse.ArgumentParser, usual: str) -> None:
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        type=options.given,
        dest="hosts",
        metavar="HOST",
        help=f"only there; may be given again (default: {usual})",
    )


def list_images(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    found = [domain for domain in domains(cloud, asked, console) if domain.is_image]
    reports = {status.host: status.report for status in cloud.client.hosts()}
    shown = [as_json.image(domain, reports.get(domain.host)) for domain in found]
    console.show(shown, text.image_table(shown))


def list_catalog(cloud: Cloud, _asked: argparse.Namespace, console: Console) -> None:
    entries = catalog.entries(cloud.config.images)
    shown = [
        {
            "name": entry.name,
            "url": urls.shown(entry.url),
            "checksum": checksum.shown(entry.checksum),
            "format": entry.format,
            "firmware": entry.firmware,
            "user": entry.user,
            "notes": entry.notes,
        }
        for entry in entries
    ]
    console.show(shown, text.catalog_table(shown))


def inspect(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    """Have hosts look at the image, and show what they know of its present version then."""
    hosts = asked.hosts
    if not hosts:
        alive = [status for status in cloud.client.hosts() if status.alive]
        hosts = [status.host for status in alive if _has(status, asked.name)]
        if not hosts:
            raise not_there(f"cannot inspect image {asked.name}", asked.name, alive)
    follow = Follow(console, cloud.client)
    where = [(host, asked.name) for host in dict.fromkeys(hosts)]
    with follow.followed():
        seen, errors = inspection.inspect(cloud.client, where, asked.timeout, follow, follow.quiet)
    looks = images.looks(status for status in seen if status.host in hosts).get(asked.name, [])
    looks = [look for look in looks if look["current"] is not False]
    console.show(looks, text.look_table(looks))
    _raise(together(errors))


def _has(status: HostStatus, name: str) -> bool:
    return any(each.name == name and each.is_image for each in status.report.domains)


def add(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    wanted = want(
        asked.name,
        ImageState.PRESENT,
        asked.hosts,
        cloud.config.images,
        url=asked.url,
        path=asked.path,
        checksum=asked.checksum,
        format=asked.format,
        vcpus=asked.vcpus,
        memory_mib=asked.memory,
        interfaces=plain([Nic(name) for name in asked.network]) if asked.network else None,
        firmware=asked.firmware,
        secure_boot=asked.secure_boot,
        xml=_definition(asked.xml),
        pool=asked.pool,
    )
    _bring(cloud, asked, console, wanted)


def remove(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    _bring(cloud, asked, console, want(asked.name, ImageState.ABSENT, asked.hosts))


def prepare(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    _bring(cloud, asked, console, want(asked.name, ImageState.PREPARED, asked.hosts))


def release(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    _bring(cloud, asked, console, want(asked.name, ImageState.RELEASED, asked.hosts))


def _bring(cloud: Cloud, asked: argparse.Namespace, console: Console, wanted: WantedImage) -> None:
    """Do it on the hosts that are meant, and show what was done on each."""
    follow = Follow(console, cloud.client)
    timeout = asked.timeout if asked.wait else None
    with follow.followed():
        places = images.bring(cloud.client, wanted, timeout, follow, follow.quiet)
    if wanted.state is ImageState.ABSENT and not any(place.request for place in places):
        raise ImageUnknown(f"no host that is up has an image {wanted.name}")
    console.show(list(map(images.shown, places)), text.places(wanted.state.done, places))
    _raise(images.failure(places))


def _raise(failure: MaglicaError | None) -> None:
    if failure is not None:
        raise failure


def _definition(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"cannot read a definition from {path}: {error}") from error
