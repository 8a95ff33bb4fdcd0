# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong in a question is told before any host is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.config.config import Config, HostEntry
from maglica.fleet import info
from maglica.fleet.source import Access
from maglica.libvirtd.addresses import ANY
from maglica.model.errors import ConfigInvalid

HOST = HostEntry("kvm0", "test+tcp://127.0.0.1:1/default")


def test_a_name_that_is_no_regular_expression() -> None:
    question = info.Question(Access(Config(Path("maglica.conf"), hosts=(HOST,))), names=("~[",))
    for ask in (lambda: info.vms(question, (), ANY, False), lambda: info.images(question, False)):
        with pytest.raises(ConfigInvalid, match=r"'~\[' is not a regular expression"):
            ask()
