# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of each module are those that its documentation has, with all its fragments."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.maglica.cloud.plugins.module_utils._listing import listing_spec
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.config import chosen

COLLECTION = "ansible_collections.maglica.cloud.plugins"
MODULES = sorted(
    path.stem for path in (Path(__file__).parents[3] / "plugins" / "modules").glob("maglica_*.py")
)
# Those that run on a host, and ask the cloud nothing.
ON_A_HOST = ["maglica_network", "maglica_pool"]
OF_THE_CLOUD = [name for name in MODULES if name not in ON_A_HOST]
# What an option is like where nothing is said.
USUAL = {
    **{"type": "str", "required": False, "default": None, "choices": None, "elements": None},
    "aliases": None,
}
# What can be said once for all, as of group/maglica.cloud.maglica in module_defaults.
SHARED = {*chosen.VARIABLES, "source", "client_worker_timeout", "host_timeout", "auth_file"}


def documented(module: Any) -> dict[str, Any]:
    """The options that the documentation of a module, and the fragments that it extends, have."""
    own = yaml.safe_load(module.DOCUMENTATION)
    options = dict(own.get("options") or {})
    for fragment in own["extends_documentation_fragment"]:
        name, _dot, part = fragment.removeprefix("maglica.cloud.").partition(".")
        cls = import_module(f"{COLLECTION}.doc_fragments.{name}").ModuleDocFragment
        more = yaml.safe_load(getattr(cls, part.upper() or "DOCUMENTATION"))["options"]
        assert not options.keys() & more.keys(), fragment
        options.update(more)
    return {name: form(option, "suboptions") for name, option in options.items()}


def form(option: dict[str, Any], nested: str) -> dict[str, Any]:
    """What documentation and spec of an option must have in common."""
    inside = option.get(nested) or {}
    return {
        **{key: option.get(key, usual) for key, usual in USUAL.items()},
        "options": {name: form(each, nested) for name, each in inside.items()},
    }


@pytest.mark.parametrize("name", MODULES)
def test_the_options_are_the_documented_ones(name: str) -> None:
    module = import_module(f"{COLLECTION}.modules.{name}")
    options = getattr(module, "argument_spec", listing_spec)()
    spec = {name: form(option, "options") for name, option in options.items()}
    assert spec == documented(module)


def test_defaults_of_the_action_group_fit_all_its_modules() -> None:
    runtime = yaml.safe_load((Path(__file__).parents[3] / "meta" / "runtime.yml").read_text())
    assert runtime["action_groups"] == {"maglica": OF_THE_CLOUD}
    for name in OF_THE_CLOUD:
        module = import_module(f"{COLLECTION}.modules.{name}")
        options = getattr(module, "argument_spec", listing_spec)()
        assert options.keys() >= SHARED, name
        assert not any(options[option].get("required") for option in SHARED)


@pytest.mark.parametrize("value", [0, -1, "inf", "nan", "1e300"])
@pytest.mark.parametrize("name", OF_THE_CLOUD)
def test_a_time_that_can_not_be_waited_for(
    run_module: Callable[..., dict[str, Any]], name: str, value: object
) -> None:
    module = import_module(f"{COLLECTION}.modules.{name}")
    options = getattr(module, "argument_spec", listing_spec)()
    given = {"vms": []} if "vms" in options else {"name": "vm0"} if "name" in options else {}
    for option in options.keys() & {"client_worker_timeout", "host_timeout"}:
        result = run_module(module, **given, **{option: value})
        assert (result["code"], option in result["msg"]) == ("config_invalid", True)
    if "wait_timeout" in options:
        for wait in (-1, 10**400):
            assert run_module(module, **given, wait_timeout=wait)["code"] == "config_invalid"


def test_what_an_entry_of_a_list_can_say_is_what_all_can() -> None:
    spec = import_module(f"{COLLECTION}.modules.maglica_vms").argument_spec()
    entry = spec["vms"]["options"]
    one = import_module(f"{COLLECTION}.modules.maglica_vm").argument_spec()
    for name, option in entry.items():
        assert {**one[name], "default": None} == {"default": None, **option}, name
