# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""User data of users: what is taken, and what is refused with what to do."""

from __future__ import annotations

from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest
from maglica.guest.cloud_init.user_data import MERGE_TYPE, Part, parts
from maglica.model.errors import NameInvalid
from maglica.model.user_data import MAX_USER_DATA, user_data

JINJA, J2 = "## template: jinja\n#cloud-config\n", "text/jinja2"


def message(*each: MIMEText | MIMEMultipart) -> str:
    made = MIMEMultipart(boundary="=_theirs")
    for part in each:
        made.attach(part)
    return made.as_string()


def text(kind: str, content: str, name: str = "", merge: str = "") -> MIMEText:
    part = MIMEText(content, kind, "utf-8")
    if name:
        part.add_header("Content-Disposition", "attachment", filename=name)
    if merge:
        part.add_header("X-Merge-Type", merge)
    return part


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("#cloud-config\npackages: [a]\n", "text/cloud-config"),
        ("#cloud-config\r\npackages: [a]\r\n", "text/cloud-config"),
        ("#cloud-config\n{}\n", "text/cloud-config"),
        ("#cloud-config  \nruncmd:\n- [sh, -c, 'a\tb']\nx: \u65b0\u3000\n", "text/cloud-config"),
        ("#cloud-config\nmerge_how: 'list(replace)'\npackages: [a]\n", "text/cloud-config"),
        ("#cloud-config\nmerge_how: list(prepend)\nusers: [default]\n", "text/cloud-config"),
        ("#cloud-config\nmerge_how: dict(allow_delete)\nusers: [default]\n", "text/cloud-config"),
        ("#cloud-config\nmerge_how: dict(replace)+list()\npackages: [a]\n", "text/cloud-config"),
        (
            "#cloud-config\nmerge_how: [[dict, no_replace, recurse_list], [list, append]]\n"
            "users: [default]\n",
            "text/cloud-config",
        ),
        ("## template: jinja\n#!/bin/sh\ncat <<END\nhostname: {{ a }}\nEND\n", "text/jinja2"),
        ("#!/bin/sh\necho\n", "text/x-shellscript"),
        ("#cloud-boothook\n#!/bin/sh\necho\n", "text/cloud-boothook"),
        ("## template: jinja\n#cloud-config\nx: {{ v1.region }}\n", "text/jinja2"),
        ("## template: jinja\n{# a #}\n#cloud-config\nusers: []\n", "text/jinja2"),
        ("## template: jinja\n#cloud-config\nmerge_how: dict()\na: b\n", "text/jinja2"),
        (f"{JINJA}merge_how: dict(no_replace, recurse_list) + list(append)\nusers: []\n", J2),
        (f"{JINJA}'merge_type' : '{MERGE_TYPE}'  # joined\ndisable_root: true\n", J2),
        (f"{JINJA}merge_how:\n- [dict, recurse_list]\n- [list, append]\nusers: []\n", J2),
        (f"{JINJA}merge_how: dict(replace)\na: b\n", J2),
        (f"{JINJA}merge_how: {{{{ v1.region }}}}\na: b\n", J2),
    ],
)
def test_what_is_taken(content: str, kind: str) -> None:
    assert user_data(content) == content
    assert parts(content) == (Part(kind, content.encode(), "user-data", MERGE_TYPE),)


def test_nothing_has_no_parts() -> None:
    assert parts("") == ()


def test_a_message_is_taken_apart() -> None:
    inner = MIMEMultipart()
    inner.attach(text("x-shellscript", "#!/bin/sh\n", "10-first.sh"))
    found = parts(
        message(
            text("cloud-config", "#cloud-config\npackages: [a]\n", merge="dict(replace)"),
            inner,
            text("plain", "#cloud-config\nusers: []\n", "../../etc/passwd"),
            text("x-shellscript-per-boot", "#!/bin/sh\n"),
        )
    )
    assert [(part.type, part.name, part.merge) for part in found] == [
        ("text/cloud-config", "user-data-01", "dict(replace)"),
        ("text/x-shellscript", "10-first.sh", MERGE_TYPE),
        ("text/cloud-config", "user-data-03", MERGE_TYPE),
        ("text/x-shellscript-per-boot", "user-data-04", MERGE_TYPE),
    ]
    assert found[0].content == b"#cloud-config\npackages: [a]\n"


@pytest.mark.parametrize("encoding", ["8bit", "binary"])
def test_a_message_keeps_its_characters(encoding: str) -> None:
    head = 'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/x-shellscript'
    script = "#!/bin/sh\necho \u65b0\u3057\u3044 \xe9\n"
    head += f'; charset="utf-8"\nContent-Transfer-Encoding: {encoding}\n\n'
    (part,) = parts(f"{head}{script}\n--b--\n")
    assert part.content.decode() == script


OURS = [
    *("hostname", "fqdn", "prefer_fqdn_over_hostname", "preserve_hostname", "manage_etc_hosts"),
    *("ssh_keys", "ssh_deletekeys", "network", "user", "create_hostname_file"),
    *("cloud_init_modules", "datasource", "datasource_list"),
]


@pytest.mark.parametrize("key", OURS)
def test_what_undoes_ours_is_named(key: str) -> None:
    for content in (
        f"#cloud-config\npackages: [a]\n{key}: x\n",
        f"#cloud-config\n{{packages: [a], '{key}': x}}\n",
        f"## template: jinja\n#cloud-config\n{key} : {{{{ v1.region }}}}\n",
        message(text("cloud-config", f"{key}: x\n")),
    ):
        with pytest.raises(NameInvalid, match=rf"Maglica sets itself.*: {key} \(.*; take it out"):
            parts(content)


def test_all_that_undoes_ours_is_named_at_once() -> None:
    with pytest.raises(NameInvalid, match=r"fqdn \(.*\), ssh_keys \("):
        parts("#cloud-config\nfqdn: a.b\nssh_keys: {}\n")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("packages: [a]\n", "begins with none of #cloud-config, #!"),
        ("", "begins with nothing, which is none of"),
        ("\n#cloud-config\n", "begins with a blank, which is none of"),
        ("#include https://example.com/config\n", "begins with '#include', which is none of"),
        ("#include-once\nhttps://example.com/config\n", "begins with"),
        ("#cloud-config-archive\n- a\n", "begins with '#cloud-config-archive', which"),
        ("#cloud-config-jsonp\n[]\n", "begins with"),
        ("#part-handler\n", "begins with"),
        ("#cloud-config\na: \x07\n", "a control character"),
        ("#cloud-config\na: \x00\n", "a control character"),
        ("#cloud-config\na: \x9b\n", "a control character"),
        ("#cloud-config\na: \udc80\n", "a control character"),
        ("#!" + "x" * (MAX_USER_DATA - 1), "longer than 65536 bytes"),
        ("#!" + "\u65b0" * (MAX_USER_DATA // 3), "longer than 65536 bytes"),
    ],
)
def test_forms_that_are_refused_everywhere(content: str, problem: str) -> None:
    with pytest.raises(NameInvalid, match=problem):
        user_data(content)
    if content:
        with pytest.raises(NameInvalid, match=problem):
            parts(content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("#cloud-config\n", "user_data is not a mapping"),
        ("#cloud-config\n- a\n", "user_data is not a mapping"),
        ("#cloud-config\na: b: c\n", "is not YAML that cloud-init takes: line 2: mapping"),
        ("#cloud-config\na: !x y\n", "not YAML that cloud-init takes: line 2: a tag"),
        ("#cloud-config\nusers: bob,carol\n", "users, which is not a list"),
        ("#cloud-config\nssh_authorized_keys: ssh-rsa A\n", "_keys, which is not a list"),
        ("#cloud-config\nmerge_how: append\n", "merge_how that cloud-init does not take"),
        ("#cloud-config\nmerge_type: {a: b}\n", "merge_how that cloud-init does not take"),
        ("#cloud-config\nmerge_how: [{name: list}]\n", "merge_how that cloud-init does not take"),
        ("#cloud-config\nmerge_how: ['', [5]]\n", "merge_how that cloud-init does not take"),
        ("#cloud-config\nmerge_how: 5\n", "merge_how that cloud-init does not take"),
        (message(text("cloud-config", "a: b", merge="list(append")), "merge_how that cloud-init"),
        (
            "#cloud-config\nmerge_how: Dict( replace )+list()\nusers: []\n",
            "has users, and would replace ours by its merge_how",
        ),
        (
            "#cloud-config\nmerge_how: [{name: dict, settings: [replace]}]\ndisable_root: true\n",
            "has disable_root, and would replace ours",
        ),
        (
            message(text("cloud-config", "ssh_authorized_keys: []", merge="dict(replace)")),
            "has ssh_authorized_keys, and would replace ours",
        ),
        ("#cloud-config\nmerge_how: dict(recurse_list)+list()\nusers: []\n", "would replace ours"),
        ("#cloud-config\nmerge_how: list(replace)\nusers: [default]\n", "would replace ours"),
        (
            "#cloud-config\nmerge_how: dict(allow_delete)\ndisable_root:\n",
            "has disable_root, and would replace ours",
        ),
        (
            "#cloud-config\nmerge_how: [{name: dict, settings: replace}]\nusers: []\n",
            "merge_how that cloud-init does not take",
        ),
        (message(text("cloud-config", "a: b", merge="list(append)")), "a merge_how without dict"),
        (f"{JINJA}merge_how: dict(replace)\nusers: []\n", "has users, and would replace ours"),
        (
            f"{JINJA}merge_how:\n  - name: dict\n    settings: [replace]\nusers: []\n",
            "has users, and would replace ours",
        ),
        (f"{JINJA}merge_how: dict(allow_delete)\nusers:\n", "has users, and would replace ours"),
        (f"{JINJA}merge_how: dict({{{{ a }}}})\nusers: []\n", "only in the guest: let it be"),
        (f"{JINJA}merge_how: [\n\nusers: []\n", "can be read only in the guest"),
        (f"{JINJA}merge_how: append\n", "merge_how that cloud-init does not take"),
        (
            message(text("jinja2", f"{JINJA}users: []\n", merge="list()+dict(replace)+str()")),
            "has users, and would replace ours",
        ),
        # A template's own merge_how may not be there in the guest, and then the header counts.
        *(
            (
                message(text("jinja2", f"{JINJA}{own}users: []\n", merge="dict(replace)+list()")),
                "has users, and would replace ours",
            )
            for own in (
                f"{{% if region == 'x' %}}\nmerge_how: {MERGE_TYPE}\n{{% endif %}}\n",
                f"{{#\nmerge_how: {MERGE_TYPE}\n#}}\n",
                f"merge_how: {MERGE_TYPE}\n",
            )
        ),
        ("## template: jinja\n#include http://a.example.jp\n", "the template in user_data begins"),
        ("## template: jinja\npackages: [a]\n", "the template in user_data begins"),
        (message(text("x-shellscript", "echo a\n")), "part 1 of user_data begins with"),
        (message(text("x-shellscript", "#cloud-config\nfqdn: a.b\n")), "Maglica sets itself.*fqdn"),
        ("#cloud-config\na:\tb\n", "not YAML that cloud-init takes: line 2: found character"),
        ("#cloud-config\na: 2026-02-30\n", "line 2: a value that is read as timestamp"),
        ("Content-Type: text/plain\n\n#cloud-config\n", "a MIME message without parts"),
        ("Content-Type: multipart/mixed\n\nnothing\n", "a MIME message without parts"),
        (message(text("x-include-url", "https://example.com")), "part 1 .* is 'text/x-inc"),
        (message(text("plain", "hello")), "part 1 of user_data begins with none of"),
        (message(*[text("x-shellscript", "#!")] * 65), "more than 64 parts"),
        (message(text("cloud-config", "a: [", "a.cfg")), "part a.cfg of user_data is not YAML"),
    ],
)  # fmt: skip
def test_content_that_is_refused(content: str, problem: str) -> None:
    with pytest.raises(NameInvalid, match=problem):
        parts(content)


def test_a_message_in_a_message_in_a_message() -> None:
    head = "".join(f'Content-Type: multipart/mixed; boundary="{n}"\n\n--{n}\n' for n in range(1100))
    with pytest.raises(NameInvalid):
        parts(head)


@pytest.mark.parametrize(
    "content",
    [
        "#cloud-config\npassword: 'sEcret\n",
        "password: sEcret\n",
        "{'password': 'sEcret'}",
        "#include https://user:sEcret@example.com/\n",
        message(text("plain", "password: sEcret")),
    ],
)
def test_errors_do_not_tell_the_content(content: str) -> None:
    with pytest.raises(NameInvalid) as raised:
        parts(content)
    assert "secret" not in str(raised.value).lower()
