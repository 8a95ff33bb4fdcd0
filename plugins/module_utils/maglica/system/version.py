# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version of the library this is."""

from __future__ import annotations

import re
from pathlib import Path

# That of the collection, as galaxy.yml has it.
COLLECTION = "0.1.0"
# The roles install the library in a folder that is called by the digest of what is in it.
_DIGEST = re.compile("[0-9a-f]{12}")


def own(file: str = __file__) -> str:
    """Return the collection's version and, where it was installed by its role, the digest of the
    library's files, as in ``0.1.0+3f2a1b9c0d1e``.
    """
    folder = Path(file).parents[2].name
    return f"{COLLECTION}+{folder}" if _DIGEST.fullmatch(folder) else COLLECTION
