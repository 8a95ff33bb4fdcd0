# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a clone's cloud-init is told: the files of a NoCloud seed. Pure but for PyYAML.

They are JSON, which is YAML, as cloud-init 22.4 and later take them. What the clone must be stands
first, and stays whatever the user's own data says; what is only proposed comes after that.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...model.errors import GuestUnsupported
from ...model.request import User
from ...model.user_data import problem_of
from ..identity import Identity
from .network_config import network_config
from .user_data import CLOUD_CONFIG, Part, parts

META_DATA = "meta-data"
USER_DATA = "user-data"
NETWORK_CONFIG = "network-config"
_HEADER = "#cloud-config\n"
# What base64 never has.
_BOUNDARY = "=_maglica_="


@dataclass(frozen=True)
class Seed:
    """All that a clone's cloud-init is told.

    ``instance_id`` is new for each vm: cloud-init does once what it does for an instance. Of
    ``identity`` counts the host name, the interfaces, the SSH host keys, and root's own keys and
    password, ``user`` comes beside these. ``default_user`` is
    what the image calls its own, where that is known. ``user_data`` is the user's own. For
    ``loses_routes6`` see network_config.py.
    """

    instance_id: str
    identity: Identity
    user: User = field(default_factory=User)
    default_user: str | None = None
    user_data: str = field(default="", repr=False)
    loses_routes6: bool = False


def files(seed: Seed) -> dict[str, bytes]:
    """Return the content of the seed's files by their names.

    Raises NameInvalid for the user's own data, GuestUnsupported for a user that can't be named.
    """
    # Only the first label: cloud-init sets this name before there is a network, for the DHCP server
    # to see, and before it reads the user data with all of the name. That it would not set any more
    # if it had known it before.
    label = seed.identity.hostname.partition(".")[0]
    meta = {"instance-id": seed.instance_id, "local-hostname": label}
    network = network_config(seed.identity.nics, seed.loses_routes6)
    return {
        META_DATA: _json(meta).encode(),
        USER_DATA: _user_data(seed),
        NETWORK_CONFIG: _json(network).encode(),
    }


def _user_data(seed: Seed) -> bytes:
    own, proposed = _own(seed), _proposed(seed)
    theirs = parts(seed.user_data)
    if not theirs:
        return f"{_HEADER}{_json({**own, **proposed})}".encode()
    first = Part(CLOUD_CONFIG, f"{_HEADER}{_json(own)}".encode(), "maglica-own", merge=None)
    last = Part(CLOUD_CONFIG, f"{_HEADER}{_json(proposed)}".encode(), "maglica-proposed")
    return _message((first, *theirs, last))


def _own(seed: Seed) -> dict[str, Any]:
    """Return what the user's own data can't change."""
    name = seed.identity.hostname
    config: dict[str, Any] = {
        "hostname": name.partition(".")[0],
        "fqdn": name,
        # As written into a guest without cloud-init: all of the name, also where it has dots.
        "prefer_fqdn_over_hostname": True,
        "preserve_hostname": False,
        "manage_etc_hosts": "localhost",
    }
    if seed.identity.host_keys:
        # Those of the image go first, also of types that are not made here.
        config["ssh_deletekeys"] = True
        config["ssh_keys"] = {}
        for key in seed.identity.host_keys:
            config["ssh_keys"][f"{key.type}_private"] = key.private.decode()
            config["ssh_keys"][f"{key.type}_public"] = f"{key.public}\n"
    config.update(_users(seed))
    return config


def _proposed(seed: Seed) -> dict[str, Any]:
    """Return what the user's own data may say otherwise."""
    # The word that has the module do nothing, in the type that all versions' schema wants: the
    # image's locale stays. Else 22.4 makes another one, and fails in an image without locales.
    config: dict[str, Any] = {"locale": "false"}
    passwords = (seed.user.password, seed.identity.root_password)
    if passwords != (None, None) and seed.identity.host_keys:
        # The password is for the console. Without one sshd stays as the image has it, and without
        # sshd cloud-init would complain.
        config["ssh_pwauth"] = False
    return config


def _users(seed: Seed) -> dict[str, Any]:
    """Return the keys ``users``, ``user``, ``ssh_authorized_keys`` of cloud-init's configuration.

    The image's own user is always made. It is changed by ``user``: in the list ``users`` its own
    settings would come first.
    """
    user, identity = seed.user, seed.identity
    if user.name == "default" != seed.default_user:
        raise GuestUnsupported(
            "cloud-init takes a user named default for the image's own user: choose another name"
        )
    config: dict[str, Any] = {"users": ["default"]}
    settings = _settings(user)
    root = _settings(
        User("root", ssh_authorized_keys=identity.authorized_keys, password=identity.root_password)
    )
    if user.name == "root":
        problem = problem_of(user)
        if problem is not None:
            raise GuestUnsupported(problem)
        root, settings = settings, {}
    if root:
        # Else a command that ends the session would come before keys that others have, too. Now
        # keys without a user would be root's as well: below they get one.
        config["users"].append({"name": "root", **root})
        config["disable_root"] = False
    if user.name not in (None, "root", seed.default_user):
        config["users"].append({"name": user.name, **settings, **_own_group(user)})
    elif settings.keys() - (set() if root else {"ssh_authorized_keys"}):
        if seed.default_user is None:
            raise GuestUnsupported(
                "the image's cloud-init names no default user whose settings could be changed: set"
                " the user's name"
            )
        config["user"] = {"name": seed.default_user, **settings}
    elif settings:
        config.update(settings)
    return config


def _own_group(user: User) -> dict[str, Any]:
    """Return what has a new user be in the group of its name, also where that is there already.

    useradd(8) fails then by itself, and cloud-init makes no further user. A primary group is made
    by cloud-init only if it is beside others, or among them.
    """
    return {"groups": list(dict.fromkeys((user.name, *user.groups))), "primary_group": user.name}


def _settings(user: User) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if user.groups:
        config["groups"] = list(user.groups)
    if user.sudo is not None:
        config["sudo"] = user.sudo
    if user.shell is not None:
        config["shell"] = user.shell
    if user.ssh_authorized_keys:
        config["ssh_authorized_keys"] = list(user.ssh_authorized_keys)
    if user.password is not None:
        # Not ``passwd``: that counts for a user only that is not there yet.
        config["hashed_passwd"] = user.password
        config["lock_passwd"] = False
    return config


def _message(all_parts: Sequence[Part]) -> bytes:
    lines = ["MIME-Version: 1.0", f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"', ""]
    for part in all_parts:
        lines += [
            f"--{_BOUNDARY}",
            "MIME-Version: 1.0",
            f'Content-Type: {part.type}; charset="utf-8"',
            "Content-Transfer-Encoding: base64",
            f'Content-Disposition: attachment; filename="{part.name}"',
        ]
        if part.merge is not None:
            lines.append(f"Merge-Type: {part.merge}")
        lines += ["", base64.encodebytes(part.content).decode()]
    return "\n".join((*lines, f"--{_BOUNDARY}--", "")).encode()


def _json(value: Any) -> str:
    # Of a character that JSON escapes as two, YAML would make two; of these it takes none as it is.
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return re.sub("[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"
