# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of versions: a host's worker must know of all that it is asked for."""

from __future__ import annotations

from ...model import errors
from ...model.request import Spec
from ...verbs import table
from .candidates import Candidate


def check(spec: Spec, candidate: Candidate, act: str = "") -> None:
    """Raise VersionTooOld for a host whose worker does not know of something, and NotReady for one
    that has not said yet what it knows; ``act`` begins their texts.
    """
    needed = table.features_of(spec)
    if not needed:
        return
    if candidate.features is None:
        raise errors.NotReady(
            f"{act}its host worker has not said yet what it knows; try again in a few seconds"
        )
    lacking = needed - candidate.features
    if lacking:
        raise errors.VersionTooOld(
            f"{act}its host worker{_version(candidate)} is too old: it does not know of"
            f" {', '.join(sorted(lacking))}; run maglica.cloud.deploy for it again"
        )


def _version(candidate: Candidate) -> str:
    return f", of version {candidate.version}," if candidate.version else ""
