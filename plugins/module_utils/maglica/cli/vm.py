# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica vm``: the vms. Each command says how a vm shall be, and has that brought about as the
modules do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..fleet import shown as fleet_shown
from ..manage import shown
from ..manage.group import MAX_VMS, Pattern
from ..manage.plan import need_all_hosts
from ..manage.wanted import want
from ..model.errors import ConfigInvalid, NameInvalid, VmUnknown
from ..model.request import CloneMode, Customize, Nic, User
from ..verbs import table
from ..verbs.clone import CLONE
from ..verbs.set import SET
from ..verbs.table import Presence
from . import options, prune, serial, text
from .bring import bring
from .console import Cloud, Console, NotConfirmed
from .host import domains, fleet, one_vm

_RESTARTING = ("allow_restart", "force", "stop_timeout")
_WHICH_HOST = "needed only when several hosts have a vm of that name"


def add_commands(group: options.Group) -> None:
    listing = group.add("list", list_vms, "list the vms of all hosts")
    options.host(listing, "only those on this host")
    options.source(listing)
    look = group.add("show", show, "show all about a vm")
    look.add_argument("name", metavar="NAME", help="the vm")
    options.host(look, _WHICH_HOST)
    options.source(look)
    serial.add_command(group)
    prune.add_command(group)
    _clone_options(group.add(CLONE.name, clone, CLONE.help))
    for verb in table.VERBS:
        if verb.about == "vm" and not verb.makes_vm:
            parser = group.add(verb.command, change, verb.help)
            parser.add_argument("name", metavar="NAME", help="the vm")
            options.host(parser, _WHICH_HOST)
            options.source(parser)
            options.wait(parser)
            options.of_verb(parser, verb.options)
            if verb.ends_vm:
                parser.add_argument(
                    "--force", action="store_true", help="also one that runs, unasked"
                )


def _clone_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="+", metavar="NAME", help="the vm's name; more of them for more vms")
    add("--image", required=True, help="the original image")
    add(
        "--hostname",
        metavar="NAME",
        help="the host name inside (default: the vm's name); with --count a pattern, too",
    )
    add(
        "--count",
        type=options.positive,
        metavar="N",
        help="make N vms, of which all fit or none is made; NAME has %%d for the number, or %%02d",
    )
    add(
        "--first",
        type=options.number,
        metavar="N",
        help="the first number of --count (default: 1)",
    )
    options.host(parser, "make it there (default: the host that suits best)")
    options.source(parser)
    add(
        "--mode",
        choices=[mode.value for mode in CloneMode],
        help="disks as overlays of a base, or as full copies (default: linked)",
    )
    add("--pool", help="the storage pool (default: the one with most room)")
    add("--vcpus", type=options.positive, metavar="N", help="default: as in the image")
    add(
        "--memory",
        type=options.size,
        metavar="SIZE",
        help="in MiB or such as 2GiB (default: as in the image)",
    )
    add(
        "--disk-size",
        type=options.size,
        metavar="SIZE",
        help="of the first disk, in MiB or such as 20GiB (default: as in the image)",
    )
    add(
        "--network",
        action="append",
        metavar="NAME",
        help="libvirt network of an interface with DHCP; once for each (default: as in the image)",
    )
    add(
        "--customize",
        choices=[way.value for way in Customize],
        default=Customize.AUTO.value,
        help="how it becomes a guest of its own (default: auto, by cloud-init where the image's"
        " would obey, else offline)",
    )
    add("--ssh-authorized-keys", type=Path, metavar="FILE", help="public keys for root to log in")
    _user_options(parser)
    add("--user-data", type=Path, metavar="FILE", help="what cloud-init does besides")
    add(
        "--tag",
        action="append",
        default=[],
        dest="tags",
        metavar="TAG",
        help="a tag of the vm; once for each",
    )
    add("--no-start", dest="start", action="store_false", help="leave the vm stopped")
    options.of_verb(parser, SET.options)
    options.wait(parser)


def _user_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("a user of the guest").add_argument
    add("--user", metavar="NAME", help="default: the image's own with cloud-init, root without")
    add(
        "--user-group",
        action="append",
        metavar="GROUP",
        help="a group that the user is in; once for each",
    )
    add("--user-sudo", metavar="RULE", help='such as "ALL=(ALL) NOPASSWD:ALL"')
    add("--user-shell", metavar="PATH", help="the login shell")
    add(
        "--user-ssh-authorized-keys",
        type=Path,
        metavar="FILE",
        help="public keys for the user to log in",
    )
    add(
        "--user-password-hash",
        type=Path,
        metavar="FILE",
        help="a file with the hash of the password, such as mkpasswd(1) makes it",
    )


def list_vms(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    found = [domain for domain in domains(cloud, asked, console) if not domain.is_image]
    console.show([fleet_shown.vm(domain) for domain in found], text.vm_table(found))


def show(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    vm = one_vm(cloud, asked, console)
    console.show(shown.of_domain(vm), text.vm_text(vm))


def clone(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    wanted = {
        "image": asked.image,
        "host": asked.host,
        "clone_mode": asked.mode,
        "pool": asked.pool,
        "vcpus": asked.vcpus,
        "memory_mib": asked.memory,
        "disk_size_mib": asked.disk_size,
        "interfaces": list(map(Nic, asked.network)) if asked.network else None,
        "customize": asked.customize,
        "ssh_authorized_keys": _authorized_keys(asked.ssh_authorized_keys),
        "user": _user(asked),
        "user_data": asked.user_data and _text(asked.user_data, "user data"),
        "tags": asked.tags,
        **{option.field: getattr(asked, option.field) for option in SET.options},
    }
    state = Presence.RUNNING if asked.start else Presence.STOPPED
    vms = [
        want(name, state, new=True, hostname=hostname, **wanted) for name, hostname in _names(asked)
    ]
    bring(cloud, asked, console, vms)


def change(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    """Do what any verb is for with the one vm that is named, and must be there."""
    of_vms = (each for each in table.VERBS if each.about == "vm")
    verb = next(each for each in of_vms if each.command == asked.command)
    said = {option.field: getattr(asked, option.field) for option in verb.options}
    what = [option for option in verb.options if not option.is_manner]
    if what and all(said[option.field] is None for option in what):
        flags = " or ".join(option.flag for option in what)
        raise NameInvalid(f"{verb.name} needs {flags}")
    if verb.ends_vm and not asked.force:
        _need_leave(cloud, asked, console)
    state = Presence(verb.state or Presence.PRESENT)
    if verb.wants:
        how = {field: said.pop(field) for field in _RESTARTING if field in said}
        said = {**verb.wants(said), **how}
    wanted = want(asked.name, state, host=asked.host, **verb.wanted, **said)
    try:
        bring(cloud, asked, console, [wanted])
    except VmUnknown:
        # No image can be said here to make it from.
        raise VmUnknown(f"there is no vm {asked.name}") from None


def _need_leave(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    """Raise NotConfirmed where a vm runs that shall be no more, unless the user says yes. Raises
    HostDown where it may run on a host that does not answer: a moment later that may.
    """
    found = fleet(cloud, asked).find_vms({asked.name})
    ours = [vm for vm in found.domains if (vm.made and not vm.is_image) or vm.adopted]
    if not ours:
        need_all_hosts(asked.name, found, asked.host)
    hosts = [vm.host for vm in ours if vm.active]
    if not hosts:
        return
    runs = f"vm {asked.name} is running on host {' and '.join(hosts)}"
    if not console.ask(f"{runs}. Switch it off and remove it with its disks?"):
        raise NotConfirmed(
            f"{runs}, so it is not removed: stop it first, or say --force to remove it as it is"
        )


def _names(asked: argparse.Namespace) -> list[tuple[str, str | None]]:
    """Return the names of vms, and what their host names are if they are others, that the command
    line gives, or the patterns and their count stand for.
    """
    names: list[str] = asked.names
    if asked.count is None and asked.first is not None:
        raise NameInvalid("--first goes with --count")
    if len(names) > 1 and asked.count is not None:
        raise NameInvalid("--count goes with one NAME, which is a pattern such as web%02d")
    if len(names) > 1 and asked.hostname is not None:
        raise NameInvalid("--hostname goes with one NAME")
    if asked.count is None:
        return [(name, asked.hostname) for name in names]
    if asked.count > MAX_VMS:
        raise NameInvalid(f"--count {asked.count} is more than {MAX_VMS}")
    pattern = Pattern.parse(names[0])
    hostnames = None if asked.hostname is None else Pattern.parse(asked.hostname)
    first = 1 if asked.first is None else asked.first
    return [
        (pattern.name(number), None if hostnames is None else hostnames.name(number))
        for number in range(first, first + asked.count)
    ]


def _authorized_keys(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    keys = (line.strip() for line in _text(path, "SSH keys").splitlines())
    return tuple(key for key in keys if key and not key.startswith("#"))


def _user(asked: argparse.Namespace) -> User | None:
    hashed = asked.user_password_hash
    user = User(
        name=asked.user,
        groups=tuple(asked.user_group or ()),
        sudo=asked.user_sudo,
        shell=asked.user_shell,
        ssh_authorized_keys=_authorized_keys(asked.user_ssh_authorized_keys),
        password=hashed and _text(hashed, "the hash of a password").strip(),
    )
    return None if user == User() else user


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"cannot read {what} from {path}: {error}") from error
