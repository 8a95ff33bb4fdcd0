# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All verbs are whole: what has to be said of each is said."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from maglica.model.errors import MessageInvalid
from maglica.model.request import Request
from maglica.verbs import table
from maglica.verbs.clone import CLONE, CloneSpec
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.start import START, StartSpec
from maglica.verbs.verb import Interrupted, OnImage, OnVm, Verb

UUID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"
MAC = "52:54:00:00:00:01"
LEAST = {
    "name": "a",
    "image": "b",
    "uuid": UUID,
    "host": "c",
    "disk": "data",
    "size_mib": 1,
    "mac": MAC,
}
# What must stand beside the required fields.
ALSO = {"add_image": {"path": "/a"}, "add_disk": {"disk": {"name": "data"}}}
each_verb = pytest.mark.parametrize("verb", table.VERBS, ids=lambda verb: verb.name)


def required(verb: Verb) -> dict[str, Any]:
    """Return a spec with no more than it must have, as it stands in a message."""
    fields = dataclasses.fields(verb.spec)
    least = {f.name: LEAST[f.name] for f in fields if f.default is dataclasses.MISSING}
    return {**least, **ALSO.get(verb.name, {})}


def test_names_are_different() -> None:
    names = [verb.name for verb in table.VERBS]
    assert len(set(names)) == len(names)


@each_verb
def test_a_verb_has_a_spec_of_its_own(verb: Verb) -> None:
    assert verb.spec.__name__ == f"{verb.name.title().replace('_', '')}Spec"
    assert dataclasses.is_dataclass(verb.spec)
    assert [other for other in table.VERBS if other.spec is verb.spec] == [verb]
    if not verb.makes_vm:
        assert issubclass(verb.spec, OnVm if verb.about == "vm" else OnImage)


@each_verb
def test_a_verb_has_a_record_of_all_fields_of_its_spec(verb: Verb) -> None:
    plain = required(verb)
    spec = verb.record(plain, "spec")
    assert isinstance(spec, verb.spec)
    assert table.of(spec) is table.of(Request("id", spec)) is table.named(verb.name) is verb
    for field in dataclasses.fields(verb.spec):
        with pytest.raises(MessageInvalid, match=rf"^spec\.{field.name}: "):
            verb.record({**plain, field.name: object()}, "spec")
    with pytest.raises(MessageInvalid, match="unknown field"):
        verb.record({**plain, "nonsense": 1}, "spec")


@each_verb
def test_errors_say_what_a_verb_does_in_plain_words(verb: Verb) -> None:
    said = table.act(verb.record(required(verb), "spec"))
    assert said.endswith((" a", " b"))
    assert "_" not in said


@each_verb
def test_a_verb_says_what_an_interrupted_job_leaves_to_do(verb: Verb) -> None:
    assert isinstance(verb.interrupted, Interrupted)
    assert verb.help


def test_a_request_bears_the_name_of_its_spec() -> None:
    request = Request("id", StartSpec("a", UUID, "c"))
    assert (request.kind, request.name) == ("start", "a")
    assert table.of(request) is START


def test_names_and_specs_of_messages_are_checked() -> None:
    assert table.NAME("clone", "kind") == CLONE.name
    for wrong in ("format", 1, None, []):
        with pytest.raises(MessageInvalid, match=r"^kind: not one of clone, "):
            table.NAME(wrong, "kind")
    spec = table.spec({"name": "a", "image": "b"}, "spec", "clone")
    assert spec == CloneSpec("a", "b")
    assert table.spec({"name": "a", "uuid": UUID, "host": "c"}, "spec", "remove") == RemoveSpec(
        "a", UUID, "c"
    )


def test_every_state_of_a_vm_is_that_of_one_verb() -> None:
    states = [verb.state for verb in table.VERBS if verb.state]
    assert sorted([*states, "present"]) == sorted(table.Presence)
