# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica image``: the original images."""

from __future__ import annotations

import argparse

from ..manage import images
from ..manage.images import ImageState
from ..model.errors import ImageUnsupported
from ..verbs.add_image import ADD_IMAGE
from ..verbs.prepare import PREPARE
from ..verbs.release import RELEASE
from ..verbs.remove_image import REMOVE_IMAGE
from . import options, text
from .console import Cloud, Console
from .follow import Follow
from .host import domains


def add_commands(group: options.Group) -> None:
    listing = group.add("list", list_images, "list the original images of all hosts")
    options.host(listing, "only those on this host")
    for verb, run in ((PREPARE, prepare), (RELEASE, release)):
        parser = group.add(verb.name, run, verb.help)
        parser.add_argument("name", metavar="NAME", help="the original image")
        options.host(parser, "only there (default: every host that has it)")
        options.wait(parser)
    for verb in (ADD_IMAGE, REMOVE_IMAGE):
        parser = group.add(verb.command, _not_yet, verb.help)
        parser.add_argument("name", metavar="NAME", help="the original image")


def _not_yet(_cloud: Cloud, asked: argparse.Namespace, _console: Console) -> None:
    raise ImageUnsupported(f"{asked.command} is not built yet")


def list_images(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    found = [domain for domain in domains(cloud, asked.host, console) if domain.is_image]
    reports = {status.host: status.report for status in cloud.client.hosts()}
    shown = []
    for domain in found:
        report = reports.get(domain.host)
        look = report.look_at(domain.name) if report else None
        refused = look.reason if look and not look.customizable else None
        shown.append(
            {"name": domain.name, "host": domain.host, "uuid": domain.uuid, "refused": refused}
        )
    console.show(shown, text.image_table(shown))


def prepare(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    _bring(cloud, asked, console, ImageState.PREPARED)


def release(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    _bring(cloud, asked, console, ImageState.RELEASED)


def _bring(cloud: Cloud, asked: argparse.Namespace, console: Console, state: ImageState) -> None:
    """Do it on the hosts that have the image, and show what was done on each."""
    wanted = images.WantedImage(asked.name, state, (asked.host,) if asked.host else ())
    follow = Follow(console)
    with follow.followed():
        places = images.bring(cloud.client, wanted, asked.timeout if asked.wait else None, follow)
    console.show(
        [{"host": place.host, "changed": place.changed} for place in places],
        text.places(state.value, places),
    )
    failed = [place.error for place in places if place.error]
    if failed:
        raise type(failed[0])("; ".join(map(str, failed)))
