# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt's errors over TLS mean, and what to do then."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

# libvirt's words, and what they mean; the server closes the connection without a word.
_MEANINGS = (
    (
        "Unable to read TLS confirmation",
        "the host does not take the certificate in {place}: there is none, or it was taken back,"
        " or is of another authority",
    ),
    (
        "Failed to verify peer's certificate",
        "what the host shows is not of the authority in {place}, or it has ended, is for another"
        " name or address, or was taken back",
    ),
)
_REMEDY = "run the playbook maglica.cloud.deploy again, which makes certificates anew"


def explained(uri: str, text: str) -> str:
    """Return ``text``, libvirt's error at opening ``uri``, explained if certificates are meant."""
    parts = urlsplit(uri)
    if "certificate" not in text and "TLS" not in text:
        return text
    # Without a transport it is TLS, where there is a host.
    if not parts.scheme.endswith("+tls") and ("+" in parts.scheme or not parts.hostname):
        return text
    (place,) = parse_qs(parts.query).get("pkipath", ["libvirt's usual folders"])[:1]
    meant = [meaning.format(place=place) for words, meaning in _MEANINGS if words in text]
    return f"{': '.join([text, *meant])}; {_REMEDY}"
