# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verb has a job, and everything that a job announces has what undoes it beside its act."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.cli import main as cli
from maglica.host_worker.job import main, undo
from maglica.host_worker.journal.intents import Effect
from maglica.verbs import table
from maglica.verbs.verb import Interrupted, Verb

JOB = Path(main.__file__).parent
each_verb = pytest.mark.parametrize("verb", table.VERBS, ids=lambda verb: verb.name)


def test_every_verb_has_a_job_and_no_other() -> None:
    assert sorted([*main.TOGETHER, *main.ALONE]) == sorted(verb.name for verb in table.VERBS)


@each_verb
def test_what_a_verb_does_stands_in_a_file_of_its_name(verb: Verb) -> None:
    act = main.TOGETHER.get(verb.name) or main.ALONE[verb.name]
    where = Path(act.__code__.co_filename).relative_to(JOB / verb.about)
    assert where.name == f"{verb.name}.py"


@each_verb
def test_a_verb_has_a_line_in_the_command_line(
    verb: Verb, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([verb.about, verb.command, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for option in verb.options:
        # A word of a few that stands alone is shown as these.
        words = option.choices if not option.flag.startswith("-") else ()
        assert all(word in shown for word in words or (option.flag,))


def test_every_effect_is_undone_or_gone_on_with() -> None:
    assert set(undo.UNDOERS) | undo.FINISHED == set(Effect)
    assert not set(undo.UNDOERS) & undo.FINISHED


@pytest.mark.parametrize("effect", undo.UNDOERS)
def test_what_undoes_an_effect_stands_in_the_file_of_its_act(effect: Effect) -> None:
    undoer = Path(undo.UNDOERS[effect].__code__.co_filename)
    assert f"Effect.{effect.name}" in undoer.read_text()


def test_only_a_verb_that_is_finished_announces_what_is_not_undone() -> None:
    for verb in table.VERBS:
        act = main.TOGETHER.get(verb.name) or main.ALONE[verb.name]
        text = Path(act.__code__.co_filename).read_text()
        announces = any(f"Effect.{effect.name}" in text for effect in undo.FINISHED)
        assert announces == (verb.interrupted is Interrupted.FINISHED)
