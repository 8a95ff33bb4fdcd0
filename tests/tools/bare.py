# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do on a bare Debian what a newcomer does: `make demo`, `make test`; see `make test-bare`.

The machine is a systemd-nspawn container with systemd, apt, git, make and ca-certificates, and
with this machine's configuration of apt and pip, on a network of its own. It gets a clone of the
commit that is checked out here. `bare.py TARGET...` makes these targets there; without any it only
removes what a killed run has left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS), str(_TESTS / "cloud")]

from support.run import CHECKOUT, CloudError, remove_tree, run, say, step  # noqa: E402
from testbed import packages, roots  # noqa: E402 - after the import path is set
from testbed.cgroups import make_cgroups, remove_cgroups  # noqa: E402
from testbed.layout import layout  # noqa: E402
from testbed.namespaces import entered, networked  # noqa: E402
from testbed.remains import remove_propagated  # noqa: E402

BUILD = CHECKOUT / "build"
CACHE = BUILD / "cache" / "bare"
STATE = BUILD / "bare"
# Below the root's home, as where a newcomer clones to.
INSIDE = "/root/maglica.cloud"
PACKAGES = (
    *("mmdebstrap", "debian-archive-keyring", "systemd-container", "git", "iproute2"),
    *("slirp4netns", "util-linux"),
)
DEVICES = ("/dev/net/tun", "/dev/fuse", "/dev/kvm")

# In namespaces of their own: the cloud inside makes its bridge in this network.
_ENTER = """
set -e
for group in $CGROUPS; do echo $$ > "$group/cgroup.procs"; done
mount -t overlay overlay -o "$OVERLAY" "$ROOT"
ip link set lo up
echo ready
read -r _ready
exec "$@"
"""


def main(steps: list[str]) -> int:
    """Make the targets on a bare machine; return the exit status of the first that failed."""
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(143))
    os.umask(0o022)  # What is made here are the machine's folders.
    try:
        if os.geteuid():
            raise CloudError("it makes a container: run it as root")
        with alone():
            if not steps:
                return 0
            run(CHECKOUT / "tests/tools/debian-packages", *PACKAGES)
            with step("root of a bare Debian"):
                root = roots.bare_root(CACHE)
            roots.forget_older(CACHE, (root,))
            return machine(root, steps)
    except CloudError as error:
        print(f"bare.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait for another run in this checkout; leave nothing but the cached root."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "bare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clean()  # What a killed run has left.
        try:
            yield
        finally:
            clean()


def clean() -> None:
    remove_cgroups(name())
    remove_propagated(name())
    remove_tree(STATE)


def name() -> str:
    """Return what the machine and its control groups are called, for this checkout alone."""
    return f"mb{layout(CHECKOUT, 1).id}"


def machine(root: Path, steps: list[str]) -> int:
    """Run the machine until its steps have ended; return their exit status."""
    for folder in ("root", "upper", "work"):
        (STATE / folder).mkdir(parents=True)
    commit = clone(STATE / "checkout")
    binds = configure(STATE / "upper", steps)
    say(f"{commit[:12]} on a bare Debian: make {', make '.join(steps)}")
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(started(root, binds))
        stack.enter_context(networked(process, "--configure"))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        for line in process.stdout:
            # The console is a terminal, whose lines end in more than one character.
            print(line.decode(errors="replace").rstrip("\r\n"), flush=True)
        return process.wait()


def clone(target: Path) -> str:
    """Clone the commit that is checked out; return it."""
    git = ("git", "-C", CHECKOUT)
    commit = run(*git, "rev-parse", "HEAD").strip()
    if run(*git, "status", "--porcelain", "--untracked-files=no"):
        say("what is not committed is not tested")
    run("git", "clone", "--quiet", "--no-hardlinks", "--no-checkout", CHECKOUT, target)
    run("git", "-C", target, "checkout", "--quiet", "--detach", commit)
    return commit


def configure(upper: Path, steps: list[str]) -> list[Path]:
    """Write what is this run's into the machine; return the folders that it must see."""
    environment = " ".join(f'"{key}={value}"' for key, value in packages.variables().items())
    manager = ("[Manager]", "ShowStatus=no", "LogLevel=warning")
    files = {
        "etc/bare": f"BARE_TARGETS={' '.join(steps)}\n",
        "etc/resolv.conf": "nameserver 10.0.2.3\n",
        "etc/systemd/system.conf.d/bare.conf": "\n".join(
            [*manager, f"DefaultEnvironment={environment}", ""]
        ),
    }
    for path, text in files.items():
        (upper / path).parent.mkdir(parents=True, exist_ok=True)
        (upper / path).write_text(text)
    return packages.give(upper)


@contextlib.contextmanager
def started(root: Path, binds: list[Path]) -> Iterator[subprocess.Popen[bytes]]:
    """Have a machine for the block; it boots when it is told to, by a line."""
    devices = [path for path in map(Path, DEVICES) if path.exists()]
    command = [
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"),
        *(f"--machine={name()}", "--hostname=bare", f"--directory={STATE / 'root'}"),
        # Not on the overlay: the cloud's own overlays and QEMU's disks lie in it.
        f"--bind={STATE / 'checkout'}:{INSIDE}",
        *(f"--bind={device}" for device in devices),
        *(f"--bind-ro={folder}" for folder in binds),
        *("--capability=all", "--system-call-filter=@module @raw-io @mount"),
        *("--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=read-only"),
    ]
    environment = {
        "CGROUPS": " ".join(map(str, make_cgroups(name()))),
        "OVERLAY": f"lowerdir={root},upperdir={STATE / 'upper'},workdir={STATE / 'work'}",
        "ROOT": str(STATE / "root"),
        # A machine may change its kernel's settings, such as ip_forward.
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",
    }
    with entered(_ENTER, *command, env=environment) as process:
        yield process


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
