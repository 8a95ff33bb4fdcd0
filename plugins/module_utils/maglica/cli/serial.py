# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica vm console``: a vm's serial console on this terminal."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..libvirtd import serial
from ..model.errors import ConfigInvalid
from . import options
from .console import Cloud, Console
from .host import one_vm

_TIMEOUT = 10


def add_command(group: options.Group) -> None:
    parser = group.add("console", console, "open the serial console of a vm; Ctrl-] leaves it")
    parser.add_argument("name", metavar="NAME", help="the vm")
    options.host(parser, "needed only when several hosts have a vm of that name")
    options.source(parser)
    parser.add_argument("--force", action="store_true", help="take it from who has it open")
    parser.add_argument(
        "--host-timeout",
        type=options.positive,
        default=_TIMEOUT,
        metavar="SECONDS",
        help=f"how long the host's libvirtd may take to answer (default: {_TIMEOUT})",
    )


def console(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    """Open it at the host's libvirtd: the client worker passes none on."""
    for name, stream in (("stdin", sys.stdin), ("stdout", sys.stdout)):
        if stream is None:
            raise ConfigInvalid(f"a console needs a standard input and output: {name} is closed")
    vm = one_vm(cloud, asked, console)
    entry = next((each for each in cloud.config.hosts if each.name == vm.host), None)
    if entry is None:
        raise ConfigInvalid(
            f"{cloud.config.path} has no section [host {vm.host}]: a console is opened at the"
            f" libvirtd of its host, with the uri that is said there"
        )
    keys, screen = sys.stdin.fileno(), sys.stdout.fileno()
    console.say(f"vm {vm.name} on host {vm.host}; Ctrl-] leaves the console")
    with _blocking(keys), _blocking(screen), _raw(keys):
        left = serial.attach(
            entry, (vm.name, vm.uuid), (keys, screen), take=asked.force, timeout=asked.host_timeout
        )
    console.say("" if left else f"\nthe console of vm {vm.name} has ended")


@contextmanager
def _blocking(descriptor: int) -> Iterator[None]:
    """Have reads and writes wait, on what another program may have left otherwise."""
    before = os.get_blocking(descriptor)
    os.set_blocking(descriptor, True)
    try:
        yield
    finally:
        os.set_blocking(descriptor, before)


@contextmanager
def _raw(keys: int) -> Iterator[None]:
    """Have a terminal pass on each key as it is pressed, Ctrl-C too, and show nothing itself."""
    if not os.isatty(keys):
        yield
        return
    before = termios.tcgetattr(keys)

    def restore(how: int = termios.TCSAFLUSH) -> None:
        termios.tcsetattr(keys, how, before)

    # A terminal that is gone, or takes nothing, must not keep a signal from its work.
    with _before_signals(lambda: restore(termios.TCSANOW)):
        tty.setraw(keys)
        try:
            yield
        finally:
            restore()


@contextmanager
def _before_signals(restore: Callable[[], None]) -> Iterator[None]:
    """Call this before a signal ends the process, which would do nothing else."""

    def end(number: int, _frame: object) -> None:
        with suppress(OSError, termios.error):
            restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    ending = [
        number
        for number in (signal.SIGHUP, signal.SIGTERM)
        if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in ending:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ending:
            signal.signal(number, signal.SIG_DFL)
