# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the tracked files with every linter of the ecosystem; see `make lint`.

The checks work on copies of the tracked files in build/lint, in environments of their own, two at
a time. The output of a check is shown only when it fails. `lint.py WORD...` runs the checks whose
name holds one of the words, `lint.py --all` also those that take longer.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tracked import CHECKOUT, copy_tracked

WORK = CHECKOUT / "build" / "lint"
CACHE = CHECKOUT / "build" / "cache"
DEV_BIN = CHECKOUT / "build" / "venv" / "bin"
LINT_VENV = WORK / "venv"
HOME = WORK / "home"
COLLECTION = Path("ansible_collections", "maglica", "cloud")

# ansible-core's own support matrix: the oldest Python that runs each version's controller.
CORE_VERSIONS = {"2.19.14": (3, 11), "2.20.10": (3, 12), "2.21.5": (3, 12)}
# Between the oldest and the newest one; not needed for each change.
LONGER = frozenset({"sanity 2.20.10"})
OLDEST_CONTROLLER_PYTHON = (3, 11)
NEWEST_CONTROLLER_PYTHON = (3, 13)
# Hosts need the library only; these tests need ansible-core, a newer Python, or libvirt's binding,
# which Debian has for its own Python alone.
OLDEST_PYTHON = (3, 9)
CONTROL_SIDE_TESTS = (
    "cloud",
    "faults",
    "test_plugins.py",
    "modules",
    "inventory",
    "action",
    "roles",
    "tools",
    "docs/test_blocks.py",
    "docs/test_operating.py",
    "docs/test_protocol_schema.py",
    "host_worker/daemon/test_definitions.py",
    "test_imports.py",
)
# The names under which ansible-core 2.19, and 2.20 or later, look for their pip bootstrap.
GET_PIP_NAMES = ("get_pip_24_2.py", "get_pip_25_2.py")
MAX_SHOWN = 40

Version = tuple[int, int]
Wanted = Callable[[str], bool]


@dataclass(frozen=True)
class Check:
    """A command that fails when there is something to mend, or when it prints `bad`.

    Of the output of a failed one, only the lines that match `telling` are shown, if any does.
    """

    name: str
    command: list[str | Path]
    cwd: Path
    env: dict[str, str] = field(default_factory=dict)
    bad: str | None = None
    telling: str = ""


@dataclass(frozen=True)
class Outcome:
    check: Check
    seconds: float
    failed: bool
    output: str


def find_pythons() -> dict[Version, Path]:
    """Return the real interpreters of this machine by version, Debian's own first.

    pyenv's shims are passed over: one of an inactive version is there but does not run.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path("/usr/bin"), *map(Path, os.environ.get("PATH", "").split(os.pathsep))]
    folders += sorted(pyenv.glob("versions/*/bin"))
    pythons: dict[Version, Path] = {}
    for folder in folders:
        if folder.name == "shims" or folder.is_relative_to(CHECKOUT):
            continue
        for path in folder.glob("python3.*"):
            match = re.fullmatch(r"python3\.(\d+)", path.name)
            if match and (version := (3, int(match[1]))) not in pythons and runs(path):
                pythons[version] = path
    return pythons


def runs_on(pythons: dict[Version, Path], core: str) -> list[Version]:
    """Return the Pythons that this ansible-core runs on, the oldest first."""
    return [v for v in sorted(pythons) if CORE_VERSIONS[core] <= v <= NEWEST_CONTROLLER_PYTHON]


def runs(python: Path) -> bool:
    """Tell whether this interpreter can make environments."""
    probe = subprocess.run(
        [python, "-c", "import ensurepip, venv"], check=False, capture_output=True
    )
    return probe.returncode == 0


def make_venv(folder: Path, python: Path, requirements: list[str | Path]) -> Path:
    """Make a venv with these requirements unless it is there already; return it."""
    wanted = "\n".join(
        [str(python), *(r.read_text() if isinstance(r, Path) else r for r in requirements)]
    )
    stamp = folder / "requirements.stamp"
    if stamp.is_file() and stamp.read_text() == wanted:
        return folder
    print(f"      installing {folder.relative_to(CHECKOUT)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    install: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    install.append("--disable-pip-version-check")
    for requirement in requirements:
        install += ["-r", requirement] if isinstance(requirement, Path) else [requirement]
    done = subprocess.run(install, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"cannot install {folder}:\n{done.stdout}{done.stderr}")
    stamp.write_text(wanted)
    return folder


def environment(*folders: Path) -> dict[str, str]:
    """Return what a check runs in: these folders and the system's programs, its own home."""
    passed = ("LANG", "PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "TERM")
    kept = {name: os.environ[name] for name in passed if name in os.environ}
    path = os.pathsep.join([*map(str, folders), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    return {"LC_ALL": "C.UTF-8", "NO_COLOR": "1", **kept, "HOME": str(HOME), "PATH": path}


def quick_checks(tree: Path) -> Iterator[Check]:
    """Yield the checks of text and types, which take seconds each."""
    lint_bin = LINT_VENV / "bin"
    root = tree.parent.parent.parent
    env = environment(lint_bin)
    ansible_env = env | {"ANSIBLE_COLLECTIONS_PATH": str(root)}
    ruff = [DEV_BIN / "ruff"]
    yield Check("ruff check", [*ruff, "check", "--cache-dir", CACHE / "ruff", "."], tree)
    yield Check("ruff format", [*ruff, "format", "--check", "--diff", "--no-cache", "."], tree)
    yield Check("mypy", [DEV_BIN / "mypy", "--cache-dir", CACHE / "mypy"], tree)
    yield Check("yamllint", [lint_bin / "yamllint", "--strict", "."], tree, env)
    yield Check("reuse", [lint_bin / "reuse", "lint", "--lines"], tree, env)
    changelog = [lint_bin / "antsibull-changelog", "lint"]
    yield Check("antsibull-changelog", changelog, tree, ansible_env)
    docs = [lint_bin / "antsibull-docs", "lint-collection-docs", "--plugin-docs"]
    docs += ["--validate-collection-refs", "all", "."]
    yield Check("antsibull-docs", docs, tree, ansible_env)
    ansible_lint = [lint_bin / "ansible-lint", "--offline", "--profile", "production", "--strict"]
    yield Check("ansible-lint", ansible_lint, tree, ansible_env)


def importer_check(tree: Path) -> Check:
    """Build the archive and return the check that a Galaxy server does on it."""
    lint_bin = LINT_VENV / "bin"
    build: list[str | Path] = [lint_bin / "ansible-galaxy", "collection", "build", "--force"]
    build += [tree, "--output-path", WORK / "archive"]
    subprocess.run(build, check=True, env=environment(lint_bin), stdout=subprocess.DEVNULL)
    (archive,) = (WORK / "archive").glob("maglica-cloud-*.tar.gz")
    config = WORK / "galaxy-importer.cfg"
    # ansible-lint and ansible-test run by themselves, with stricter settings.
    config.write_text(
        "[galaxy-importer]\nCHECK_REQUIRED_TAGS = True\nCHECK_CHANGELOG = True\n"
        "RUN_ANSIBLE_DOC = True\nRUN_ANSIBLE_LINT = False\nRUN_ANSIBLE_TEST = False\n"
    )
    command: list[str | Path] = [lint_bin / "python", "-m", "galaxy_importer.main", archive]
    env = environment(lint_bin) | {"GALAXY_IMPORTER_CONFIG": str(config)}
    return Check("galaxy-importer", command, WORK / "archive", env, bad=r"^(ERROR|WARNING)")


def sanity_checks(
    pythons: dict[Version, Path], wanted: Wanted, pylint_once: bool
) -> Iterator[Check]:
    """Yield ansible-test sanity for each ansible-core that a Python here can run.

    ``pylint_once``: only the newest of them runs pylint, which takes longer than all else.
    """
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in GET_PIP_NAMES:
        shutil.copy2(CHECKOUT / "tests" / "tools" / "get_pip.py", cache / name)
    running = [core for core in CORE_VERSIONS if runs_on(pythons, core)]
    for core, oldest in CORE_VERSIONS.items():
        name = f"sanity {core}"
        if not wanted(name):
            continue
        usable = runs_on(pythons, core)
        if not usable:
            print(f"skip  {name}: no Python >= {oldest[0]}.{oldest[1]} here", flush=True)
            continue
        python = pythons[usable[0]]
        venv = make_venv(WORK / f"core-{core}", python, [f"ansible-core=={core}"])
        tree = copy_tracked(WORK / f"tree-{core}" / COLLECTION)
        folders = [p.parent for v, p in sorted(pythons.items()) if v >= OLDEST_PYTHON]
        env = environment(venv / "bin", *dict.fromkeys(folders))
        command: list[str | Path] = [venv / "bin" / "ansible-test", "sanity", "--requirements"]
        command += ["--color", "no"]
        if core != min(CORE_VERSIONS):
            # The imports on every Python are tried once, by the oldest ansible-core.
            command += ["--python", f"{usable[0][0]}.{usable[0][1]}"]
        if pylint_once and core != max(running):
            command += ["--skip-test", "pylint"]
        yield Check(name, command, tree, env, telling="^(ERROR|FATAL)")


def oldest_python_check(
    pythons: dict[Version, Path], tree: Path, wanted: Wanted
) -> Iterator[Check]:
    """Yield the library's unit tests on the oldest Python that hosts may have."""
    name = f"unit tests {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}"
    if not wanted(name):
        return
    if OLDEST_PYTHON not in pythons:
        print(f"skip  {name}: no such Python here", flush=True)
        return
    python = pythons[OLDEST_PYTHON]
    venv = make_venv(WORK / "oldest", python, [CHECKOUT / "requirements-oldest.txt"])
    command: list[str | Path] = [venv / "bin" / "python", "-m", "pytest", "-q", "tests/unit"]
    command += [f"--ignore=tests/unit/{each}" for each in CONTROL_SIDE_TESTS]
    yield Check(name, command, tree, environment(venv / "bin"), telling="^(FAILED|ERROR|E  )")


def run(check: Check) -> Outcome:
    """Run one check to its end."""
    start = time.monotonic()
    done = subprocess.run(
        check.command,
        cwd=check.cwd,
        env=check.env or None,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    bad = check.bad is not None and re.search(check.bad, done.stdout, re.MULTILINE) is not None
    return Outcome(check, time.monotonic() - start, bad or done.returncode != 0, done.stdout)


def telling_lines(outcome: Outcome) -> str:
    """Return what to show of a failed check; all of it goes to a file."""
    log = WORK / "logs" / f"{outcome.check.name.replace(' ', '-')}.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text(outcome.output)
    lines = outcome.output.splitlines()
    telling = [line for line in lines if re.search(outcome.check.telling, line)] or lines
    if len(telling) > MAX_SHOWN:
        telling[MAX_SHOWN:] = [
            f"... {len(telling) - MAX_SHOWN} more in {log.relative_to(CHECKOUT)}"
        ]
    return "\n".join(telling)


@contextmanager
def alone() -> Iterator[None]:
    """Wait for another run in this checkout to end: both would use the same copies."""
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(words: list[str]) -> int:
    """Run the checks; return 1 if one failed."""
    with alone():
        return run_all(words)


def run_all(words: list[str]) -> int:
    start = time.monotonic()
    pythons = find_pythons()
    controllers = [v for v in sorted(pythons) if v >= OLDEST_CONTROLLER_PYTHON]
    if not controllers:
        raise SystemExit("the linters need a Python >= 3.11, with its venv module")
    make_venv(LINT_VENV, pythons[controllers[0]], [CHECKOUT / "requirements-lint.txt"])
    tree = copy_tracked(WORK / "tree" / COLLECTION)

    def wanted(name: str) -> bool:
        if words == ["--all"]:
            return True
        return any(word in name for word in words) if words else name not in LONGER

    # What is not wanted is not even installed.
    chosen = [*sanity_checks(pythons, wanted, pylint_once=not words)]
    if wanted("galaxy-importer"):
        chosen.append(importer_check(tree))
    chosen += [*oldest_python_check(pythons, tree, wanted)]
    chosen += [check for check in quick_checks(tree) if wanted(check.name)]
    failed = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for future in as_completed([pool.submit(run, check) for check in chosen]):
            outcome = future.result()
            word = "FAIL" if outcome.failed else "ok"
            print(f"{word:<5} {outcome.check.name:<22} {outcome.seconds:5.1f} s", flush=True)
            if outcome.failed:
                failed += 1
                print(telling_lines(outcome), flush=True)
    seconds = time.monotonic() - start
    print(f"lint: {len(chosen) - failed} passed, {failed} failed in {seconds:.0f} s")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
