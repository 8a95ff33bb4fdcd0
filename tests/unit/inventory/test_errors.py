# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong in an inventory's file, or with ``strict`` of a domain, is said in a clean line."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.parsing.vault import VaultLib, VaultSecret, VaultSecretsContext
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.snapshot import Snapshot
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.vm import Domain

from .conftest import NAME, Parse

# Turns the direction of what comes after it.
_MARK = "\u202e"
# An error of this expression has the name in its text.
_SAYS_IT = "no_such_thing | mandatory(maglica_name)"
_SEEN = Snapshot(vms=(Domain(f"a{_MARK}b", "uuid", "kvm0", "running", active=True),))


def _every(error: BaseException | None) -> str:
    """Return what Ansible shows of an error: it and its causes."""
    texts = []
    while error is not None:
        texts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(texts)


@pytest.mark.parametrize(
    "options",
    [
        {"include_filters": [{"expression": "maglica_name | community.none.such"}]},
        {"exclude_filters": [{"expression": "{}[maglica_name]"}]},
        {"exclude_filters": [{"expression": _SAYS_IT}]},
        {"hostnames": [_SAYS_IT]},
        {"compose": {"x": _SAYS_IT}},
        {"groups": {"x": _SAYS_IT}},
        {"keyed_groups": [{"key": _SAYS_IT}]},
    ],
)
def test_an_error_shows_no_name_as_it_is(parse: Parse, options: dict[str, Any]) -> None:
    with pytest.raises(AnsibleError) as failure:
        parse({**options, "strict": True}, _SEEN)
    assert _MARK not in _every(failure.value)
    assert r"\u202e" in str(failure.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"include_filters": [{"name": "~["}]}, "the filter's '~[' is not a regular expression"),
        ({"include_filters": [{"name": "~a{99999999999}"}]}, "is not a regular expression"),
        ({"include_filters": [{"name": "~" + "(" * 5000}]}, "is not a regular expression"),
        ({"image_pattern": "["}, "image_pattern '[' is not a regular expression"),
        ({"image_pattern": "a{99999999999}"}, "is not a regular expression"),
        ({"host_timeout": float("inf")}, "host_timeout inf is not"),
        ({"host_timeout": float("nan")}, "host_timeout nan is not"),
        ({"host_timeout": -1}, "host_timeout -1 is not"),
        ({"parallel": -1}, "parallel -1 is less than 0"),
        ({"hosts": []}, "hosts: no host is named"),
        ({"hosts": [{"name": "kvm0", "weight": float("inf")}]}, "weight"),
        ({"include_filters": [{"expression": "a b"}]}, "is not an expression"),
        (
            {"include_filters": [{"expression": "(" * 500 + "1" + ")" * 500}]},
            "is not an expression",
        ),
        ({"include_filters": [{"name": [{"a": 1}]}]}, "is not text"),
        ({"include_filters": [{}]}, "a filter has no condition"),
        ({"address_networks": ["192.0.2.0/99"]}, "is not a range of addresses"),
    ],
)
def test_an_option_that_can_not_be(parse: Parse, options: dict[str, Any], text: str) -> None:
    with pytest.raises(AnsibleParserError) as failure:
        parse(options)
    assert text in str(failure.value)
    assert len(str(failure.value)) < 2000


def test_a_vaulted_filter_is_used_and_never_shown(
    parse: Parse, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = VaultSecret(b"password")
    secrets = [("default", secret)]
    monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(secrets))

    def options(key: str, text: str) -> str:
        encrypted = VaultLib(secrets).encrypt(text, secret=secret).decode()
        lines = "\n".join(f"      {line}" for line in encrypted.splitlines())
        hosts = "hosts: [{name: kvm0, uri: 'qemu+tcp://127.0.0.1:1/system'}]"
        filters = f"include_filters:\n  - {key}: !vault |\n{lines}\n"
        return f"plugin: {NAME}\n{hosts}\n{filters}"

    domains = [Domain(name, name, "kvm0", "running", active=True) for name in ("db", "web")]
    found = parse(options("name", "w*"), Snapshot(vms=tuple(domains)))
    assert list(found.inventory.hosts) == ["web"]
    for key, text in (("name", "~secret["), ("expression", "'secret'"), ("secret", "a")):
        with pytest.raises(AnsibleParserError) as failure:
            parse(options(key, text))
        shown = _every(failure.value)
        assert "VAULT" not in shown
        assert key == "secret" or "secret" not in shown


@pytest.mark.parametrize("option", ["config", "key_file", "auth_file"])
def test_a_path_below_the_home_of_a_user_without_one(
    parse: Parse, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    text = f"plugin: {NAME}\nsource: client_worker\n{option}: ~/x\n"
    with pytest.raises(AnsibleParserError, match="where ~/x is, as the user has no home: set"):
        parse(text)
