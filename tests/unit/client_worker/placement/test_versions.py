# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of versions: a clone goes to a host whose worker knows of all that it says."""

from __future__ import annotations

import pytest
from maglica.client_worker.placement import choose
from maglica.model import errors
from maglica.verbs.clone import CloneSpec
from support.candidates import host
from support.reports import IMAGE, image

PLAIN = CloneSpec("vm0", IMAGE)
PROTECTED = CloneSpec("vm0", IMAGE, protected=True)
KNOWN = frozenset({"settings", "paused"})


def test_a_host_that_knows_of_it_is_chosen() -> None:
    old = host("kvm0", image(), features=frozenset(), version="0.1.0")
    unheard = host("kvm1", image())
    new = host("kvm2", image(), features=KNOWN)
    hosts = {each.name: each for each in (old, unheard, new)}
    assert choose.place(PROTECTED, hosts).host == "kvm2"
    assert choose.place(PLAIN, hosts).host == "kvm0"
    del hosts["kvm2"]
    with pytest.raises(errors.VersionTooOld) as refused:
        choose.place(PROTECTED, hosts)
    assert str(refused.value) == (
        f"cannot clone vm0 from {IMAGE}: host kvm0: its host worker, of version 0.1.0, is too old:"
        " it does not know of settings; run maglica.cloud.deploy for it again; host kvm1: its host"
        " worker has not said yet what it knows; try again in a few seconds"
    )
    del hosts["kvm0"]
    with pytest.raises(errors.NotReady):
        choose.place(PROTECTED, hosts)


def test_the_one_that_is_asked_for_is_refused() -> None:
    old = host("kvm0", image(), features=frozenset({"paused"}))
    spec = CloneSpec("vm0", IMAGE, host="kvm0", protected=True, paused=True)
    with pytest.raises(errors.VersionTooOld, match="on host kvm0: its host worker is too old"):
        choose.place(spec, {"kvm0": old})
