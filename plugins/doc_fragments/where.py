# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say where the client worker is, and who asks it."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules and the inventory extend, by the name maglica.cloud.where."""

    DOCUMENTATION = r"""
options:
  config:
    description:
      - The configuration file C(maglica.conf), which says where the client worker is, which key to
        use and which hosts there are.
      - Without it, the environment variable E(MAGLICA_CONFIG) names the file. If that is not set
        either, it is V(~/.config/maglica/maglica.conf) (or below E(XDG_CONFIG_HOME), if that is
        set), or else V(/etc/maglica/maglica.conf).
      - No file is needed where options, or the environment, say all that is needed.
    type: path
  client_worker:
    description:
      - Where the client worker is, a name or an address. After a colon there may be a port, other
        than V(5556); an IPv6 address has brackets then.
      - Without it, E(MAGLICA_CLIENT_WORKER) says it, or else the file. A file that O(config) names
        counts more than the environment. So it is with the other options of the client worker and
        of the key.
    type: str
  client_worker_key:
    description:
      - The public key of the client worker, to be sure that it is the one. Without it,
        E(MAGLICA_CLIENT_WORKER_KEY) says it, or else the file.
    type: str
  key_file:
    description:
      - The file with the secret key by which the client worker knows who asks. Nobody but its owner
        may have access to it. Without it, E(MAGLICA_KEY_FILE) names it, or else the file.
    type: path
  key:
    description:
      - The secret key itself, in the place of O(key_file). Without either, E(MAGLICA_KEY) may say
        it.
    type: str
"""
