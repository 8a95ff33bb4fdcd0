# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out whether an image's cloud-init would obey a NoCloud seed.

The file system was written by a stranger: what is read is bounded, and what can't be understood
counts as a reason why not. That follows cloud-init's own generator for systemd, its ds-identify and
``util.read_conf_with_confd``, of versions 22.4 and 25.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...model.errors import GuestUnsupported
from ..boot_entries import BOOT_ENTRIES
from ..filesystem import Filesystem, Kind
from ..network import ifupdown
from . import yaml_text
from .state import made_anew

NOCLOUD = "NoCloud"
# Of the file system that it looks for.
LABEL = "cidata"
_CONFIG = "/etc/cloud/cloud.cfg"
_DISABLED = "/etc/cloud/cloud-init.disabled"
_DS_IDENTIFY = "/etc/cloud/ds-identify.cfg"
_PROGRAMS = ("/usr/bin/cloud-init", "/usr/local/bin/cloud-init")
_VERSION = "/usr/lib/python3*/{dist,site}-packages/cloudinit/version.py"
_UNITS = "/{etc,usr/lib,lib}/systemd/system/*.wants/cloud-init-local.service"
_MASKS = "/etc/systemd/system/cloud-{init,init-local,init-main,init-network,config,final}.service"
_GENERATOR_MASK = "/etc/systemd/system-generators/cloud-init-generator"
_TARGET_MASK = "/etc/systemd/system/cloud-init.target"
_RUNLEVELS = "/etc/runlevels/*/cloud-init-local"
_SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
# What of a guest says that a renderer of cloud-init is of use, in the order of its own.
_RENDERERS = (
    ("eni", ("/usr/sbin/ifquery", "/sbin/ifquery")),
    ("sysconfig", ("/etc/sysconfig/network-scripts",)),
    ("netplan", ("/usr/sbin/netplan",)),
    ("network-manager", ("/usr/sbin/NetworkManager",)),
    ("networkd", ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd")),
)
_FILE_LIMIT = 64 * 1024
_BOOT_LIMIT = 1024 * 1024
_MAX_FILES = 100
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_RELEASE = re.compile(r"""^__VERSION__ = ["'](\d{1,3})\.(\d{1,3})""", re.MULTILINE)
_KERNEL = re.compile(r"^(?![ \t]*#).*?[\s\"']cloud-init=disabled(?=[\s\"']|$)", re.MULTILINE)
_KERNEL_SOURCE = re.compile(
    r"^(?![ \t]*#).*?[\s\"'](?:ci\.(?:ds|datasource)|ds)=([A-Za-z][\w-]*)", re.MULTILINE
)
_KERNEL_NETWORK = re.compile(r"^(?![ \t]*#).*?[\s\"']network-config=", re.MULTILINE)
# What NoCloud is told there comes before what a seed says (ds=nocloud;h=NAME); GRUB escapes it.
_KERNEL_SEED = re.compile(r"^(?![ \t]*#).*?[\s\"']ds=nocloud(?:-net)?\\*;", re.MULTILINE)
# What of NoCloud's own configuration comes before a seed, or is in its place.
_SEED_SOURCES = ("fs_label", "meta-data", "seedfrom", "user-data")
_KNOWN_AS_NOCLOUD = ("nocloud", "nocloud-net")
# What it must do for a clone to be a guest of its own, with all names of each module.
_NEEDED = ("set_hostname", "users_groups", "ssh")
_LISTS = ("cloud_init_modules", "cloud_config_modules", "cloud_final_modules")


@dataclass(frozen=True)
class CloudInit:
    """What was found of an image's cloud-init.

    ``problem``: why a seed would not be obeyed, to follow "its cloud-init"; None if it would.
    ``datasources`` are those that are asked; None where nothing is said, which stands for all.
    ``renderers`` are the ways to configure the network that it could use, in its order. ``grows``:
    it lets the file system at / fill its partition.
    """

    installed: bool
    problem: str | None = None
    version: tuple[int, int] | None = None
    datasources: tuple[str, ...] | None = None
    default_user: str | None = None
    renderers: tuple[str, ...] = ()
    grows: bool = False

    @property
    def loses_routes6(self) -> bool:
        """Whether it takes a default route for IPv6 for another: see network_config.py."""
        is_old = self.version is not None and self.version < (23, 1)
        # Of all renderers that are there it takes the first.
        return is_old and self.renderers[:1] != ("netplan",)


def examine(filesystem: Filesystem) -> CloudInit:
    """Read what there is to know. Raises GuestUnreadable."""
    if not any(filesystem.kind(path) is not Kind.ABSENT for path in _PROGRAMS):
        return CloudInit(False, "is not there")
    version = _version(filesystem)
    renderers = tuple(name for name, paths in _RENDERERS if _any(filesystem, paths))
    try:
        configs = list(_configs(filesystem))
        renderers = _in_order(configs, renderers)
        sources, user = _datasources(configs), _default_user(configs)
        problem = (
            _disabled(filesystem)
            or _not_asked(filesystem, sources)
            or _deaf(configs)
            or _beside(filesystem)
        )
    except GuestUnsupported as error:
        return CloudInit(True, f"can't be judged: {error}", version, renderers=renderers)
    return CloudInit(True, problem, version, sources, user, renderers, _grows(configs))


def _any(filesystem: Filesystem, paths: Sequence[str]) -> bool:
    return any(filesystem.kind(path) is not Kind.ABSENT for path in paths)


def _version(filesystem: Filesystem) -> tuple[int, int] | None:
    try:
        for path in filesystem.glob(_VERSION):
            match = _RELEASE.search(_text(filesystem, path))
            if match:
                return int(match[1]), int(match[2])
    except GuestUnsupported:
        pass
    return None


def _disabled(filesystem: Filesystem) -> str | None:
    if filesystem.kind(_DISABLED) is not Kind.ABSENT:
        return f"is disabled by {_DISABLED}"
    for path in (path for pattern in BOOT_ENTRIES for path in filesystem.glob(pattern)):
        text = _text(filesystem, path, _BOOT_LIMIT)
        if _KERNEL.search(text):
            return f"is disabled on the kernel's command line ({path})"
        match = _KERNEL_SOURCE.search(text)
        if match and match[1].lower() not in _KNOWN_AS_NOCLOUD:
            return f"is told on the kernel's command line ({path}) to ask {match[1][:40]} only"
        if _KERNEL_NETWORK.search(text):
            return (
                f"is told of the network on the kernel's command line ({path}), which comes first"
            )
        if _KERNEL_SEED.search(text):
            return f"is told on the kernel's command line ({path}) what it is (ds=nocloud;…)"
    return _not_started(filesystem)


def _not_started(filesystem: Filesystem) -> str | None:
    if _any(filesystem, _SYSTEMD):
        masks = (*filesystem.glob(_MASKS), _TARGET_MASK, _GENERATOR_MASK)
        # As with a mask, nothing but a link to /dev/null stands there for a unit of a package.
        masked = [path for path in masks if filesystem.kind(path) is Kind.SYMLINK]
        if masked:
            return f"is masked ({masked[0]})"
        if not filesystem.glob(_UNITS):
            return "has services that are not enabled (cloud-init-local.service)"
    elif not filesystem.glob(_RUNLEVELS):
        return "is started by no service that is known"
    return None


def _not_asked(filesystem: Filesystem, sources: tuple[str, ...] | None) -> str | None:
    if sources is not None and NOCLOUD not in sources:
        return f"does not ask {NOCLOUD}: its datasource_list is {list(sources)!r:.200}"
    told = _lines(_text(filesystem, _DS_IDENTIFY))
    policy = told.get("policy", "").split(",")[0]
    if policy == "disabled":
        return f"is disabled by {_DS_IDENTIFY} (policy: disabled)"
    source = told.get("datasource", NOCLOUD)
    if source != NOCLOUD:
        return f"asks {source[:40]!r} only, by {_DS_IDENTIFY}"
    return None


def _deaf(configs: Sequence[tuple[str, Any]]) -> str | None:
    """Return what of its configuration comes before a seed's."""
    network = _find(configs, ("network",))
    if network is not None:
        return f"has its own configuration of the network ({network[0]}), which comes first"
    for key in _SEED_SOURCES:
        source = _find(configs, ("datasource", NOCLOUD, key))
        if source is not None and str(source[1]).lower() != LABEL:
            return f"has its own seed ({source[0]}: {key} of {NOCLOUD}), which comes first"
    allowed = _find(configs, ("allow_userdata",))
    if allowed is not None and not _is_true(allowed[1]):
        return f"takes no user data ({allowed[0]}: allow_userdata)"
    keys = _find(configs, ("ssh_keys",))
    if keys is not None:
        return f"has SSH host keys of the image's own ({keys[0]}: ssh_keys)"
    path, modules = _find(configs, _LISTS[:1]) or (_CONFIG, None)
    known = _names(modules) if isinstance(modules, list) else ()
    lacking = [name for name in _NEEDED if name not in known]
    if lacking:
        return f"runs without its module {lacking[0]} ({path})"
    return None


def _beside(filesystem: Filesystem) -> str | None:
    """Return what of ifupdown's would hold beside what cloud-init writes: its stanzas add up."""
    if not ifupdown.used(filesystem):
        return None
    anew = made_anew(filesystem)
    drop_ins = filesystem.glob(ifupdown.DROP_INS)
    if len(drop_ins) > _MAX_FILES:
        raise GuestUnsupported(f"the guest has {len(drop_ins)} files in {ifupdown.DROP_INS}")
    for path in (ifupdown.INTERFACES, *drop_ins):
        said = None if path in anew else ifupdown.beside(_text(filesystem, path))
        if said:
            return f"would configure the network beside {path}, which says {said[:60]!r} already"
    return None


def _names(modules: list[Any]) -> set[str]:
    found = (str(each[0] if isinstance(each, list) and each else each) for each in modules)
    return {name.replace("-", "_") for name in found}


def _grows(configs: Sequence[tuple[str, Any]]) -> bool:
    told = _find(configs, ("resize_rootfs",))
    lists = [found[1] for key in _LISTS if (found := _find(configs, (key,)))]
    runs = any("resizefs" in _names(each) for each in lists if isinstance(each, list))
    return runs and (told is None or _is_true(told[1], "noblock"))


def _is_true(value: Any, *others: str) -> bool:
    """Read a switch as cloud-init does, to whom only some words are true."""
    return str(value).strip().lower() in ("true", "1", "on", "yes", *others)


def _datasources(configs: Sequence[tuple[str, Any]]) -> tuple[str, ...] | None:
    found = _find(configs, ("datasource_list",))
    if found is None or found[1] is None:
        return None
    listed = found[1] if isinstance(found[1], list) else [found[1]]
    return tuple(str(each) for each in listed[:_MAX_FILES])


def _in_order(configs: Sequence[tuple[str, Any]], there: tuple[str, ...]) -> tuple[str, ...]:
    found = _find(configs, ("system_info", "network", "renderers"))
    if found is None or not isinstance(found[1], list):
        return there
    return tuple(name for name in found[1][:_MAX_FILES] if name in there)


def _default_user(configs: Sequence[tuple[str, Any]]) -> str | None:
    found = _find(configs, ("system_info", "default_user", "name"))
    name = None if found is None else found[1]
    return name if isinstance(name, str) and _USER.fullmatch(name) else None


def _find(configs: Sequence[tuple[str, Any]], keys: tuple[str, ...]) -> tuple[str, Any] | None:
    """Return where something stands, and what: mappings are merged, and the first one counts."""
    for path, config in configs:
        value = config
        for key in keys:
            if not isinstance(value, dict):
                return None
            if key not in value:
                break
            value = value[key]
        else:
            return path, value
    return None


def _configs(filesystem: Filesystem) -> Iterator[tuple[str, Any]]:
    """Yield the files of cloud-init's configuration, those first that come before others."""
    main = _config(filesystem, _CONFIG)
    folder = main.get("conf_d", f"{_CONFIG}.d")
    if folder is not None and (
        not isinstance(folder, str) or not re.fullmatch(r"/[A-Za-z0-9_./-]{1,200}", folder)
    ):
        raise GuestUnsupported(f"{_CONFIG} in the guest has a conf_d that is not a path")
    paths = filesystem.glob(f"{folder.rstrip('/')}/*.cfg") if folder else ()
    if len(paths) > _MAX_FILES:
        raise GuestUnsupported(f"the guest has {len(paths)} files in {folder}")
    for path in reversed(paths):
        yield path, _config(filesystem, path)
    yield _CONFIG, main


def _config(filesystem: Filesystem, path: str) -> dict[Any, Any]:
    try:
        config = yaml_text.read(_text(filesystem, path))
    except yaml_text.YamlInvalid as error:
        raise GuestUnsupported(f"{path} in the guest is not YAML: {error}") from None
    # cloud-init passes over what is no mapping.
    return config if isinstance(config, dict) else {}


def _text(filesystem: Filesystem, path: str, limit: int = _FILE_LIMIT) -> str:
    content = filesystem.read(path, limit)
    return "" if content is None else content.decode("utf-8", "replace")


def _lines(text: str) -> dict[str, str]:
    """Return the lines of ds-identify.cfg as it reads them: the last one of each key."""
    told = {}
    for line in text.splitlines():
        key, mark, value = line.partition("#")[0].partition(":")
        if mark:
            told[key.strip()] = value.strip()
    return told
