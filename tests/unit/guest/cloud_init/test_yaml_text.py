# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML of strangers: what it says, and what it can't do to its reader."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from maglica.guest.cloud_init.yaml_text import YamlInvalid, read

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGE_BOMB = "a0: &a0 {k: v, l: w}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], k{n}: v}}\n" for n in range(1, 30)
)
MANY_MERGED = f"a: &a {{{', '.join(f'k{n}: v' for n in range(600))}}}\n" + "".join(
    f"b{n}: {{<<: *a}}\n" for n in range(20)
)


@pytest.fixture(params=["C", "Python"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML with libyaml's parser, and without it."""
    if request.param == "Python":
        monkeypatch.setattr(yaml, "CSafeLoader", yaml.SafeLoader, raising=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("a: [b, {c: d}]\n", {"a": ["b", {"c": "d"}]}),
        ("a: yes\nb: 'yes'\nc: ~\nd:\n", {"a": True, "b": "yes", "c": None, "d": None}),
        ("a: 1\nb: 1.5\nc: 2026-01-01\n", {"a": "1", "b": "1.5", "c": "2026-01-01"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: 1\na: 2\n", {"a": "2"}),
        ("x: &x {a: b}\ny: *x\n", {"x": {"a": "b"}, "y": {"a": "b"}}),
        ("- &x {a: b, c: d}\n- {<<: *x, a: e}\n", [{"a": "b", "c": "d"}, {"a": "e", "c": "d"}]),
        ("- &x {a: b}\n- {<<: [*x, {a: c, d: e}]}\n", [{"a": "b"}, {"a": "b", "d": "e"}]),
        ("'<<': a\n", {"<<": "a"}),
        ("a: !!str 1\nb: ! x\n", {"a": "1", "b": "x"}),
        ("--- \na: b\n...\n", {"a": "b"}),
    ],
)  # fmt: skip
def test_what_it_says(text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: b: c\n", "line 1: mapping values are not allowed"),
        ("a: [\n", "line 2"),
        ("a:\n\t- b\n", "line 2"),
        ("a: \x07\n", "not allowed"),
        ("a: *b\n", "line 1: an alias without what it stands for"),
        ("a: &a [*a]\n", "an alias without what it stands for"),
        ("a: !!python/object/apply:os.system [id]\n", "line 1: a tag that cloud-init does not"),
        ("a: !include x\n", "a tag that cloud-init does not know"),
        ("[a]: b\n", "a key that is not text"),
        ("{a: b}: c\n", "a key that is not text"),
        ("a: {<<: b}\n", "a merge key .* of what is not a mapping"),
        ("a: b\n--- \nc: d\n", "more than one document"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        # libyaml itself, where it is new enough, or we.
        ("[" * 60_000, "maximum nesting depth|nested more than 64 deep"),
        ("- " * 30_000, "nested more than 64 deep"),
        (MANY_MERGED, "merge keys .* add more than 10000"),
    ],
)
def test_what_it_can_not_say(text: str, problem: str) -> None:
    with pytest.raises(YamlInvalid, match=problem):
        read(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # libyaml takes these tabs, PyYAML's own parser does not.
        ("a:\tb\n", "line 1: found character"),
        ("a: b\n \t\nc: d\n", "line 2: found character"),
        # Nor a question mark there, and its composer no anchor that stands twice.
        ("a: [[curl, http://h/x?y=z]]\n", "line 1: "),
        ("a:\n- {b: c, d: e?}\n", "line 2: "),
        # Nor a comment at once behind the mark of a block, nor a byte order mark within.
        ("a: |# b\n  c\n", "line 1: "),
        ("a: >-# b\n  c\n", "line 1: "),
        ("a: |2+# b\n  c\n", "line 1: "),
        ("a: b\n\ufeff# c\n", "line 3: "),
        ("a: &x b\nc: &x [d]\n", r"line 2: an anchor \(&\) that stands there twice"),
        ("a: b\nc: 2026-02-30\n", "line 2: a value that is read as timestamp, and is none"),
        ("a: =\n", "read as value"),
        ("- <<\n", "read as merge"),
        ("a: !!int b\n", "read as int"),
        ("a: 0x_\n", "read as int"),
        ("a: !!bool b\n", "read as bool"),
        ("a: !!timestamp b\n", "read as timestamp"),
        ("a: !!binary b\n", "read as binary"),
        ("a: !!omap b\n", "read as omap"),
        ("a: !!omap []\n", "a tag of a list or mapping"),
        ("a: !!str [b]\n", "a tag of a list or mapping"),
        ("a: !!seq {b: c}\n", "a tag of a list or mapping"),
    ],
)
def test_what_pyyaml_takes_nothing_of(text: str, problem: str) -> None:
    with pytest.raises(YamlInvalid, match=problem):
        read(text, strict=True)


@pytest.mark.parametrize(
    "text",
    [
        "a: 2026-02-28\nb: 2026-02-28 10:00:00Z\nc: 0x1f\nd: 1_0.5\ne: 1:59\nf: .nan\ng: ~\n",
        "- &x {a: b, =: c}\n- {<<: *x, '=': '<<'}\n",
        "a: !!binary YQ==\nb: !!str 2026-02-30\nc: !!map {d: !!seq [e]}\nf: !!int '1'\n",
        "a: | # b\n  c |# d\ne: >-\n  f\ufeff\ng: 'h|#'\n",
        "a: |\n  if:\n  \tx\nb: 'c\td'\n# e\tf\n",
        "a: http://h/x?y=z\nb: ['c?']\n? d\n: e\nf: [&x g, *x, *x]\nh: {<<: &y {i: j}}\nk: *y\n",
    ],
)
def test_what_pyyaml_takes(text: str) -> None:
    yaml.load(text, Loader=yaml.SafeLoader)
    assert read(text, strict=True) == read(text)


def test_aliases_lead_to_one_value() -> None:
    value = read(BOMB)
    assert value["a11"][0] is value["a11"][9] is value["a10"]
    assert len(read(MERGE_BOMB)["a29"]) == 31


def test_problems_quote_nothing() -> None:
    with pytest.raises(YamlInvalid) as raised:
        read("password: 'sEcret\n")
    assert "sEcret" not in str(raised.value)


@given(
    st.recursive(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"])) | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
        max_leaves=10,
    )
)
def test_reads_what_pyyaml_writes(value: Any) -> None:
    assert read(yaml.safe_dump(value)) == value


def test_limits_leave_room() -> None:

    assert len(read("".join(f"k{n}: [a, b, c]\n" for n in range(3000)))) == 3000
