# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the figures of deploying, upgrading and restoring are kept.

They are measured apart; what build/figures/deploy.json and docs/performance-deploy.md have of
others stays.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from support.figures import CHECKOUT, Figure, read, table, write

DOCUMENT = CHECKOUT / "docs" / "performance-deploy.md"


def record(found: Sequence[Figure]) -> int:
    """Write what was measured and print all there is; 1 if a goal was missed just now, else 0."""
    new = {figure.figure for figure in found}
    earlier = [figure for figure in read("deploy") if figure.figure not in new]
    every = sorted([*earlier, *found], key=lambda figure: figure.figure)
    write("deploy", every)
    DOCUMENT.write_text(_document(every))
    print(table(every))
    return int(any(figure.met is False for figure in found))


def _document(figures: Sequence[Figure]) -> str:
    return f"""<!--
SPDX-FileCopyrightText: Maglica contributors
SPDX-License-Identifier: GPL-3.0-or-later
Written by `make bench-deploy`, `make bench-upgrade` and `make bench-restore`.
-->
# From bare machines to the first guest, and what an upgrade or a loss costs

Measured with {os.cpu_count()} CPUs, Python {platform.python_version()}, QEMU without KVM. The
machines are containers with systemd; all share the CPUs.

Before a deployment they have Debian just installed, with sshd, sudo and Python and nothing else.
Packages come from the archives over the network. Each step is what README says: Ansible (a venv, or
on Debian 13 its package), the playbook `deploy`, one task for an image (from a server on this
machine) and one for a guest, until its DHCP lease bears its name. The load, where it is named, is
that of the quarter of an hour before its end, with what else ran.

An upgrade, and the loss of the client worker's machine, happen to a client worker and two hosts
with 200 requests in flight. What was accepted counts as lost if it is not done in the end, or if a
vm is there twice or not at all.

{table(figures)}
"""
