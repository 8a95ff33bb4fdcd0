# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine's systemd-networkd with a guest's files, on cards of its own and a DHCP server.

``run`` starts this file in namespaces: nothing of the machine's own network or files is touched.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

SERVER, LEASED = "198.51.100.1", "198.51.100.77"
_SECONDS = 60
_COOKIE = b"\x63\x82\x53\x63"
# Options of DHCP (RFC 2132, RFC 4702): host name, kind of message, client identifier, full name.
_HOST_NAME, _KIND, _CLIENT, _FULL_NAME = 12, 53, 61, 81
_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5


@dataclass(frozen=True)
class Configured:
    """The cards' addresses in the end, by MAC, and what the DHCP server was told of the client."""

    addresses: dict[str, list[str]]
    name: str
    client: str


def run(etc: Path, macs: list[str], expected: list[str]) -> Configured:
    """Let networkd configure these cards until they have all ``expected`` addresses and gateways.

    ``etc`` has the guest's ``hostname``, ``machine-id`` and ``network`` (the folder of systemd).
    The first card is wired to the DHCP server, which has one address to give.
    """
    namespaces = ("--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
    words = json.dumps([macs, expected])
    done = subprocess.run(
        ["unshare", *namespaces, sys.executable, __file__, str(etc), words],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Configured(**json.loads(done.stdout))


def _main(etc: Path, macs: list[str], expected: list[str]) -> None:
    _mount("tmpfs", "/run", "-t", "tmpfs")
    Path("/run/systemd").mkdir()
    Path("/etc/systemd/network").mkdir(exist_ok=True)
    _mount(str(etc / "network"), "/etc/systemd/network", "--bind")
    _mount(str(etc / "machine-id"), "/etc/machine-id", "--bind")
    # networkd waits for udev wherever it could write here.
    _mount("sysfs", "/sys", "-t", "sysfs", "-o", "ro")
    name = (etc / "hostname").read_bytes().strip()
    if ctypes.CDLL(None, use_errno=True).sethostname(name, len(name)):
        raise OSError(ctypes.get_errno(), "sethostname")
    for number, mac in enumerate(macs):
        card, wire = f"eth{number}", f"wire{number}"
        _ip("link", "add", card, "address", mac, "type", "veth", "peer", "name", wire)
        _ip("link", "set", wire, "up")
    told: dict[str, str] = {}
    threading.Thread(target=_serve, args=("wire0", told), daemon=True).start()
    with subprocess.Popen(
        ["ip", "-o", "monitor", "address", "route"], stdout=subprocess.PIPE, text=True
    ) as monitor:
        with subprocess.Popen(["/lib/systemd/systemd-networkd"], stdout=sys.stderr) as networkd:
            missing = set(expected)
            for line in monitor.stdout or ():
                missing -= set(line.split())
                if not missing:
                    break
            networkd.kill()
        monitor.kill()
    print(json.dumps({"addresses": _addresses(macs), **told}))


def _mount(source: str, target: str, *options: str) -> None:
    subprocess.run(["mount", *options, source, target], check=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _addresses(macs: list[str]) -> dict[str, list[str]]:
    shown = subprocess.run(["ip", "-j", "address"], check=True, capture_output=True).stdout
    return {
        card["address"]: [
            f"{each['local']}/{each['prefixlen']}"
            for each in card["addr_info"]
            if each["scope"] == "global"
        ]
        for card in json.loads(shown)
        if card.get("address") in macs
    }


def _serve(card: str, told: dict[str, str]) -> None:
    """Give the one address to whoever asks, and keep what it says of itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, card.encode())
        server.bind(("", 67))
        while True:
            asked = server.recv(4096)
            options = _options(asked[240:])
            name = options.get(_HOST_NAME, b"").decode() or _labels(options.get(_FULL_NAME, b""))
            told.update(name=name, client=options.get(_CLIENT, b"").hex())
            kind = _OFFER if options[_KIND][0] == _DISCOVER else _ACK
            server.sendto(_reply(asked, kind), ("255.255.255.255", 68))


def _options(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(data) and data[at] != 255:
        if data[at]:
            found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
            at += 1 + data[at + 1]
        at += 1
    return found


def _labels(option: bytes) -> str:
    """Return the name of an option of RFC 4702 in its canonical form."""
    labels, rest = [], option[3:]
    while rest and rest[0]:
        labels.append(rest[1 : 1 + rest[0]].decode())
        rest = rest[1 + rest[0] :]
    return ".".join(labels)


def _reply(asked: bytes, kind: int) -> bytes:
    server = socket.inet_aton(SERVER)
    head = struct.pack("!4B", 2, 1, 6, 0) + asked[4:12] + bytes(4) + socket.inet_aton(LEASED)
    options = {_KIND: bytes([kind]), 54: server, 51: struct.pack("!I", 3600), 1: b"\xff\xff\xff\0"}
    body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    return head + server + bytes(4) + asked[28:44] + bytes(192) + _COOKIE + body + b"\xff"


if __name__ == "__main__":
    # What is waited for comes on the monitor, or the caller's time is over.
    _main(Path(sys.argv[1]), *json.loads(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)
