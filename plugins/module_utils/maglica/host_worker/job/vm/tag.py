# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives a vm its tags."""

from __future__ import annotations

from ....libvirtd import local
from ....model.request import Request
from ....model.vm import Domain
from ....verbs.tag import TagSpec
from ..context import JobContext
from . import existing, metadata, shown


def tag(request: Request, context: JobContext) -> Domain:
    """Give a vm these tags and no others, whether it runs or not."""
    domain = existing.find(request, context)
    made = existing.check(domain, request, context)
    spec = existing.spec_of(request, TagSpec)
    with local.errors(f"tag {spec.name}", context.host):
        # What it runs with may be of before its state was saved.
        said = {made.tags, shown.as_it_runs(domain, context.host).tags}
        if said != {tuple(sorted(set(spec.tags)))}:
            with context.phase(request.id, "define"):
                metadata.set_tags(domain, spec.tags)
        return shown.vm_of(domain, context.host)
