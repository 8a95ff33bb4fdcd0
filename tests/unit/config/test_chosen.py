# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, then the environment, then files: where the client worker, the key and hosts are."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.config import chosen, config
from maglica.config.chosen import complete, decide, find
from maglica.config.config import ClientWorker, Config, Library
from maglica.model.errors import ConfigInvalid

KEY, OTHER = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
SECRET = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
HOME = "/home/alice"
OWN, ALL = Path(HOME, ".config/maglica/maglica.conf"), Path("/etc/maglica/maglica.conf")
FILE = f"""
[client_worker]
address = written.example.jp
request_port = 7777
public_key = {KEY}
[library]
secret_key_file = library.key
"""


def chose(
    options: dict[str, str | None], environment: dict[str, str] | None = None, text: str = ""
) -> Config:
    """What comes of options, the environment and the text of the file that is there, if any."""
    decision = decide(options, environment or {}, HOME)
    found = config.parse(text, decision.files[0]) if text else None
    return complete(decision, found, HOME)


@pytest.mark.parametrize(
    ("option", "environment", "files", "named"),
    [
        (None, {}, [OWN, ALL], False),
        ("", {"MAGLICA_CONFIG": ""}, [OWN, ALL], False),
        (None, {"XDG_CONFIG_HOME": "/xdg"}, [Path("/xdg/maglica/maglica.conf"), ALL], False),
        (None, {"XDG_CONFIG_HOME": "xdg"}, [OWN, ALL], False),
        (None, {"MAGLICA_CONFIG": "/env"}, [Path("/env")], True),
        ("/option", {"MAGLICA_CONFIG": "/env"}, [Path("/option")], True),
        ("~/option", {}, [Path(HOME, "option")], True),
    ],
)
def test_which_file(
    option: str | None, environment: dict[str, str], files: list[Path], named: bool
) -> None:
    decision = decide({"config": option}, environment, HOME)
    assert (list(decision.files), decision.named) == (files, named)


@pytest.mark.parametrize(
    ("options", "environment", "address"),
    [
        ({}, {}, "written.example.jp"),
        ({}, {"MAGLICA_CLIENT_WORKER": "env"}, "env"),
        ({"client_worker": "option"}, {"MAGLICA_CLIENT_WORKER": "env"}, "option"),
        ({}, {"MAGLICA_CLIENT_WORKER": "env", "MAGLICA_CONFIG": "/f"}, "env"),
        # What a task names is not what happens to be in the shell.
        ({"config": "/f"}, {"MAGLICA_CLIENT_WORKER": "env"}, "written.example.jp"),
        ({"config": "/f", "client_worker": "option"}, {}, "option"),
    ],
)
def test_which_counts(
    options: dict[str, str | None], environment: dict[str, str], address: str
) -> None:
    found = chose(options, environment, FILE)
    port = 7777 if "written" in address else 5556
    assert found.client_worker == ClientWorker(address, request_port=port, public_key=KEY)
    assert found.need_library().secret_key_file is not None


def test_what_a_named_file_lacks_is_taken_from_the_environment() -> None:
    environment = {
        "MAGLICA_CLIENT_WORKER": "env:1",
        "MAGLICA_CLIENT_WORKER_KEY": OTHER,
        "MAGLICA_KEY_FILE": "~/env.key",
    }
    found = chose({"config": "/f"}, environment, "[host kvm0]\n")
    assert found.client_worker == ClientWorker("env", request_port=1, public_key=OTHER)
    assert found.library == Library(Path(HOME, "env.key"))
    (host,) = found.need_hosts()
    assert host.name == "kvm0"


def test_no_file_is_needed() -> None:
    options = {"client_worker": "[2001:db8::1]:99", "client_worker_key": OTHER, "key": SECRET}
    found = chose(options)
    assert found.client_worker == ClientWorker("2001:db8::1", request_port=99, public_key=OTHER)
    assert found.library == Library(None, SECRET)
    assert SECRET not in repr(found)
    assert SECRET not in repr(decide(options, {"MAGLICA_KEY": SECRET}, HOME))


@pytest.mark.parametrize(
    ("options", "environment", "secret"),
    [
        ({"key": SECRET}, {"MAGLICA_KEY_FILE": "/env"}, Library(None, SECRET)),
        ({"key_file": "/option"}, {"MAGLICA_KEY": SECRET}, Library(Path("/option"))),
        ({}, {"MAGLICA_KEY": SECRET}, Library(None, SECRET)),
        ({"config": "/f"}, {"MAGLICA_KEY": SECRET}, Library(Path("/library.key"))),
    ],
)
def test_which_key(
    options: dict[str, str | None], environment: dict[str, str], secret: Library
) -> None:
    assert chose(options, environment, FILE).library == secret


def test_a_key_for_a_client_worker_without_encryption() -> None:
    text = "[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n"
    assert chose({}, {}, text).need_client_worker().insecure
    assert chose({"client_worker": "::1"}, {}, text).need_client_worker().insecure
    found = chose({"client_worker": "192.0.2.1", "client_worker_key": KEY}, {}, text)
    assert found.client_worker == ClientWorker("192.0.2.1", public_key=KEY)
    assert not chose({"client_worker": "192.0.2.1"}, {}, text).need_client_worker().insecure


@pytest.mark.parametrize(
    ("options", "environment", "problem"),
    [
        ({"client_worker": "a/b"}, {}, "option client_worker: 'a/b' is not a valid host name"),
        (
            {},
            {"MAGLICA_CLIENT_WORKER": "a:0"},
            r"\$MAGLICA_CLIENT_WORKER: '0' is not a whole number",
        ),
        ({"client_worker": "a:"}, {}, "option client_worker: '' is not a whole number"),
        ({"client_worker": "[a]:1"}, {}, "option client_worker: "),
        ({"client_worker_key": "x", "client_worker": "a"}, {}, "option client_worker_key: not a k"),
        ({"key": "x", "key_file": "y"}, {}, "option key_file and option key are both given"),
        ({"key": SECRET[1:]}, {}, "option key is not a secret key$"),
        ({"key": "%" * 40}, {}, "option key is not a secret key$"),
        (
            {"client_worker": "a", "key": SECRET},
            {},
            "the public key of the client worker at a is not known: public_key of section"
            r" \[client_worker\] is missing, nor is any of these set: option client_worker_key,"
            r" \$MAGLICA_CLIENT_WORKER_KEY",
        ),
    ],
)
def test_what_makes_no_sense(
    options: dict[str, str | None], environment: dict[str, str], problem: str
) -> None:
    with pytest.raises(ConfigInvalid, match=problem):
        chose(options, environment)


def test_what_is_lacking_is_told_with_the_places_that_were_looked_at() -> None:
    with pytest.raises(ConfigInvalid) as error:
        chose({}).need_client_worker()
    assert str(error.value) == (
        f"section [client_worker] is missing: there is no {OWN} and no {ALL}, nor is any of these"
        " set: option client_worker, $MAGLICA_CLIENT_WORKER, option config, $MAGLICA_CONFIG"
    )
    with pytest.raises(ConfigInvalid, match=r"\[host NAME\] is missing: there is no /home/alice/"):
        chose({}).need_hosts()
    with pytest.raises(ConfigInvalid) as error:
        chose({"config": "/f"}, {}, "[host kvm0]").need_library()
    assert str(error.value) == (
        "/f: section [library] is missing, nor is any of these set: option key_file,"
        " $MAGLICA_KEY_FILE, option key, $MAGLICA_KEY"
    )


def test_find_takes_the_first_file_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*chosen.VARIABLES.values(), "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(config, "DEFAULT_PATH", str(tmp_path / "all.conf"))
    assert [path.name for path in find({}).searched] == ["maglica.conf", "all.conf"]
    (tmp_path / "all.conf").write_text("[host all]\n")
    assert find({}).need_hosts()[0].name == "all"
    own = tmp_path / ".config" / "maglica" / "maglica.conf"
    own.parent.mkdir(parents=True)
    own.write_text("[host own]\n")
    assert find({}).need_hosts()[0].name == "own"
    monkeypatch.setenv("MAGLICA_CONFIG", str(tmp_path / "all.conf"))
    assert find({}).need_hosts()[0].name == "all"
    with pytest.raises(ConfigInvalid, match="cannot read /none: No such file"):
        find({"config": "/none"})


@pytest.mark.parametrize("home", ["", "~", "home/alice"])
def test_without_a_home_nothing_is_read_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    for variable in (*chosen.VARIABLES.values(), "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    # Without HOME and an entry in the system's users, it is "~".
    monkeypatch.setattr("os.path.expanduser", lambda _path: home)
    monkeypatch.setattr(config, "DEFAULT_PATH", str(tmp_path / "all.conf"))
    monkeypatch.chdir(tmp_path)
    own = Path(home, ".config/maglica/maglica.conf")
    own.parent.mkdir(parents=True)
    own.write_text("[host strange]\n")
    assert find({}).searched == (tmp_path / "all.conf",)
    for option in ("config", "key_file"):
        problem = f"option {option}: cannot tell where ~/x is, as the user has no home: set"
        with pytest.raises(ConfigInvalid, match=problem):
            find({option: "~/x"})
    monkeypatch.setenv("MAGLICA_KEY_FILE", "~/x")
    with pytest.raises(ConfigInvalid, match=r"\$MAGLICA_KEY_FILE: cannot tell where ~/x is"):
        find({})
