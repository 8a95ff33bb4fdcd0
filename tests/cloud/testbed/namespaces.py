# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes in namespaces of their own, with a network that leads out of this machine.

However this program ends, none of the processes, mounts and networks is left. The network is
slirp's: it needs no address, route or firewall rule of this machine.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.run import CloudError


@contextlib.contextmanager
def entered(
    script: str, *words: str | Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Have new namespaces for the block; `script`, a shell's, is the first process in them.

    It says `ready` in a line, and goes on when it is given one.
    """
    command = [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--propagation", "private", "--net"),
        *("--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"),
        *map(str, words),
    ]
    process = subprocess.Popen(
        command,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if first != b"ready\n":
            said = (first + process.stdout.read()).decode(errors="replace")
            raise CloudError(f"the machine can't be started: {said}")
        handle = os.pidfd_open(inner(process))
        try:
            yield process
        finally:
            # The first process of a namespace is gone when all of them are.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [])
            os.close(handle)
    finally:
        process.kill()
        process.wait()


def inner(process: subprocess.Popen[bytes]) -> int:
    """Return the process that `unshare` has started in the new namespaces."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


@contextlib.contextmanager
def networked(process: subprocess.Popen[bytes], *options: str) -> Iterator[None]:
    """Give it `tap0`, which leads out by way of a process here, and let its script go on."""
    ready, tell = os.pipe()
    command = ["setpriv", "--pdeathsig", "KILL", "slirp4netns", "--mtu=1400", *options]
    command += [f"--ready-fd={tell}", str(inner(process)), "tap0"]
    slirp = subprocess.Popen(
        command, pass_fds=[tell], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    os.close(tell)
    try:
        if os.read(ready, 1) != b"1":
            raise CloudError(f"slirp4netns: {slirp.communicate()[0].strip()}")
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        yield
    finally:
        os.close(ready)
        slirp.kill()
        slirp.wait()
