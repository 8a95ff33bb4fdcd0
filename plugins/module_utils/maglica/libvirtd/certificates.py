# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt's errors over TLS, and where it asks for a password, mean, and what to do then."""

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
# Of SASL; what to do depends on who has set it up.
_PASSWORDS = (
    (
        "Failed to collect auth credentials",
        "the host asks for a user and a password; name a file that has them in auth_file, or set"
        " library_sasl_user and library_sasl_password and run the playbook maglica.cloud.deploy",
    ),
    (
        "authentication failed: authentication failed",
        "the host does not take this user with this password",
    ),
    (
        "no mechanism available",
        "SASL on this machine lacks how the host asks for a password; for SCRAM install"
        " libsasl2-modules (Debian) or cyrus-sasl-scram (EL)",
    ),
)
_REMEDY = "run the playbook maglica.cloud.deploy again, which makes certificates anew"


def explained(uri: str, text: str) -> str:
    """Return ``text``, libvirt's error at opening ``uri``, explained if it is of one of these."""
    for words, meaning in _PASSWORDS:
        if words in text:
            return f"{text}: {meaning}"
    parts = urlsplit(uri)
    if "certificate" not in text and "TLS" not in text:
        return text
    # Without a transport it is TLS, where there is a host.
    if not parts.scheme.endswith("+tls") and ("+" in parts.scheme or not parts.hostname):
        return text
    (place,) = parse_qs(parts.query).get("pkipath", ["libvirt's usual folders"])[:1]
    meant = [meaning.format(place=place) for words, meaning in _MEANINGS if words in text]
    return f"{': '.join([text, *meant])}; {_REMEDY}"
