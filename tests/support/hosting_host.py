# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a libvirtd and a network of its own, on which modules run."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import libvirt
from ansible.module_utils.testing import patch_module_args
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.hosting import networks

from . import netns
from .netns import Star


class HostingHost:
    """The host; ``run`` runs a module there and returns its result.

    That is done by this process, in the host's network; ``devices`` stands for /sys/class/net.
    """

    def __init__(self, folder: Path, star: Star, uri: str) -> None:
        self.folder = folder
        self.devices = folder / "devices"
        self.devices.mkdir()
        self.dnsmasq = folder / "d" / "lib" / "dnsmasq"
        self._network = star.name(1)
        self.uri = uri
        self.connection = libvirt.open(uri)

    def run(self, module: str, **options: Any) -> dict[str, Any]:
        main = import_module(f"ansible_collections.maglica.cloud.plugins.modules.{module}").main
        given = {"uri": self.uri, "_ansible_diff": True, **options}
        told = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(netns.inside(self._network))
            stack.enter_context(mock.patch.object(networks, "DEVICES", self.devices))
            stack.enter_context(mock.patch.object(networks, "DNSMASQ", self.dnsmasq))
            stack.enter_context(patch_module_args(given))
            stack.enter_context(contextlib.redirect_stdout(told))
            stack.enter_context(contextlib.suppress(SystemExit))
            main()
        result: dict[str, Any] = json.loads(told.getvalue())
        return result

    def definitions(self) -> list[str]:
        """Return how all pools and networks are defined."""
        both = (self.connection.listAllStoragePools(0), self.connection.listAllNetworks(0))
        return [each.XMLDesc(1) for one in both for each in one]

    def bridge(self, name: str, address: str = "") -> None:
        """Have the host have a bridge."""
        (self.devices / name / "bridge").mkdir(parents=True)
        netns.ip("-n", self._network, "link", "add", name, "type", "bridge")
        netns.ip("-n", self._network, "link", "set", name, "up")
        if address:
            netns.ip("-n", self._network, "address", "add", address, "dev", name)

    def clear(self) -> None:
        """Remove all pools, networks and bridges, and the traces of networks that have run."""
        both = (self.connection.listAllStoragePools(0), self.connection.listAllNetworks(0))
        for each in (each for one in both for each in one):
            if each.isActive():
                each.destroy()
            if each.isPersistent():
                each.undefine()
        for device in self.devices.iterdir():
            if (device / "bridge").exists():
                netns.ip("-n", self._network, "link", "del", device.name)
            shutil.rmtree(device)
        shutil.rmtree(self.dnsmasq, ignore_errors=True)
