# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a user's side finds the client worker, its key and the hosts: in options, the environment,
the user's maglica.conf or the machine's.

``decide`` says in which order, and is pure; ``find`` reads the file and returns it, completed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..model.errors import ConfigInvalid, NameInvalid
from . import config, values
from .config import ClientWorker, Config, Library

# What can be said beside a file, by the option's name, and the variable that says the same.
VARIABLES: dict[str, str] = {
    "config": config.PATH_VARIABLE,
    "client_worker": "MAGLICA_CLIENT_WORKER",
    "client_worker_key": "MAGLICA_CLIENT_WORKER_KEY",
    "key_file": "MAGLICA_KEY_FILE",
    "key": "MAGLICA_KEY",
}
_FILE = Path("maglica", "maglica.conf")
_SECRET = ("key_file", "key")
# What else could say what is in a section of the file, as the options say it.
_ELSEWHERE = {"client_worker": ("client_worker",), "library": _SECRET}


@dataclass(frozen=True)
class Word:
    """What somebody says (in no repr, as it may be a secret), and where, to be named in errors."""

    text: str = field(repr=False)
    where: str


Said = Mapping[str, Word]


@dataclass(frozen=True)
class Decision:
    """Which file counts, and what is said beside it.

    The first of ``files`` that is there counts. When somebody ``named`` it, it is one, and has to
    be there. What ``before`` says counts more than the file, what ``after`` says less; in both the
    first of several.
    """

    files: tuple[Path, ...]
    named: bool
    before: tuple[Said, ...]
    after: tuple[Said, ...] = ()


def decide(
    options: Mapping[str, str | None], environment: Mapping[str, str], home: str | None
) -> Decision:
    """Return where to look, for options as ``VARIABLES`` has them; an empty one is not said.
    ``home`` is the user's home, None where there is none.

    First comes what options say, then the file that one of them names, then the environment in the
    same way. Without a file that is named, there are the user's and the machine's. Raises
    ConfigInvalid for two secret keys at one place, and for ~/ where there is no home.
    """
    said = {name: Word(text, f"option {name}") for name, text in options.items() if text}
    surroundings = {
        name: Word(environment[variable], f"${variable}")
        for name, variable in VARIABLES.items()
        if environment.get(variable)
    }
    for layer in (said, surroundings):
        if all(name in layer for name in _SECRET):
            both = " and ".join(layer[name].where for name in _SECRET)
            raise ConfigInvalid(f"{both} are both given, and one secret key is enough")
    if "config" in said:
        return Decision((_path(said["config"], home),), True, (said,), (surroundings,))
    if "config" in surroundings:
        return Decision((_path(surroundings["config"], home),), True, (said, surroundings))
    # The XDG Base Directory Specification has a relative path ignored.
    folder = Path(environment.get("XDG_CONFIG_HOME", ""))
    own = [folder] if folder.is_absolute() else [Path(home, ".config")] if home else []
    files = (*(each / _FILE for each in own), Path(config.DEFAULT_PATH))
    return Decision(files, False, (said, surroundings))


def complete(decision: Decision, found: Config | None, home: str | None) -> Config:
    """Return the file that counts, with what is said beside it; None is found where none is there.

    Raises ConfigInvalid for what makes no sense.
    """
    if found is None:
        found = Config(path=decision.files[0], searched=decision.files)
    client_worker = _client_worker(decision, found.client_worker)
    library = _library(decision, found.library, home)
    if client_worker and library and not client_worker.insecure and not client_worker.public_key:
        raise ConfigInvalid(
            f"the public key of the client worker at {client_worker.address} is not known:"
            " public_key of section [client_worker] is missing,"
            f" {_nor(['client_worker_key'])}"
        )
    more = ("config",) if found.searched else ()
    elsewhere = {name: _nor((*_ELSEWHERE[name], *more)) for name in _ELSEWHERE}
    elsewhere["host NAME"] = _nor(more) if more else ""
    return replace(found, client_worker=client_worker, library=library, elsewhere=elsewhere)


def find(options: Mapping[str, str | None]) -> Config:
    """Return what options, environment and files say. Raises ConfigInvalid."""
    home = _home()
    decision = decide(options, os.environ, home)
    there = (path for path in decision.files if decision.named or os.path.lexists(path))
    file = next(there, None)
    return complete(decision, None if file is None else config.load(file), home)


def _client_worker(decision: Decision, written: ClientWorker | None) -> ClientWorker | None:
    address = _first(decision.before if written else _all(decision), "client_worker")
    if address is not None:
        host, port = _checked(address, values.host_and_port)
        found = written or ClientWorker(host)
        insecure = found.insecure and values.is_loopback(host)
        found = replace(
            found, address=host, request_port=port or ClientWorker.request_port, insecure=insecure
        )
    elif written is not None:
        found = written
    else:
        return None
    known = found.public_key or found.insecure
    key = _first(decision.before if known else _all(decision), "client_worker_key")
    if key is None:
        return found
    return replace(found, public_key=_checked(key, values.one_or_two_keys), insecure=False)


def _library(decision: Decision, written: Library | None, home: str | None) -> Library | None:
    for layer in decision.before if written else _all(decision):
        if "key_file" in layer:
            return Library(_path(layer["key_file"], home))
        if "key" in layer:
            try:
                return Library(None, values.key(layer["key"].text, Path()))
            except ValueError:
                # The usual text has a part of it.
                raise ConfigInvalid(f"{layer['key'].where} is not a secret key") from None
    return written


def _all(decision: Decision) -> tuple[Said, ...]:
    return (*decision.before, *decision.after)


def _first(layers: Sequence[Said], name: str) -> Word | None:
    return next((layer[name] for layer in layers if name in layer), None)


def _nor(names: Sequence[str]) -> str:
    """Return the end of an error: that what these options say is not said either."""
    ways = (f"option {name}, ${VARIABLES[name]}" for name in names)
    return f"nor is any of these set: {', '.join(ways)}"


def _checked(word: Word, reader: values.Reader) -> Any:
    try:
        return reader(word.text, Path())
    except (ValueError, NameInvalid) as error:
        raise ConfigInvalid(f"{word.where}: {error}") from None


def _home() -> str | None:
    """Return the user's home; None where nobody knows it, or it is a relative path, which would
    lead to whatever is in the current folder.
    """
    home = os.path.expanduser("~")  # noqa: PTH111 - a user without a home is none of our errors
    return home if os.path.isabs(home) else None  # noqa: PTH117


def _path(word: Word, home: str | None) -> Path:
    """Return a path, which may begin with ~/. Raises ConfigInvalid for that without a home."""
    if not word.text.startswith("~/"):
        return Path(word.text)
    if home is None:
        raise ConfigInvalid(
            f"{word.where}: cannot tell where {word.text} is, as the user has no home: set $HOME,"
            " or give the whole path"
        )
    return Path(home, word.text[2:])
