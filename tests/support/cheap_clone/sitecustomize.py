# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""With this folder on PYTHONPATH, a job's clones are cheap: files in $CHEAP_FOLDER instead of vms.

All around them is real. A vm is a file ``made/NAME``; while it is made, it is ``draft/NAME``, and
that is intended before. ``log`` has a line for each effect. A step waits as long as
``stop/NAME.STEP`` exists; a vm named ``crash…`` kills its process, ``fail…`` fails, ``hang…`` stops
in the middle of the first step, ``busy…`` writes for a while there and says nothing,
``lock…`` hangs there with the journal's lock, ``base…`` makes a base and removes it again,
``renamed…`` has another name at the end, ``counts…`` tells how much of its copy is over.
With $WITHOUT_FEATURES, a worker knows no feature of the protocol, and refuses their fields.
With $CHEAP_DEFINE, libvirt gets a domain as well; with $FAILPOINT_FILE, a write of the journal goes
wrong (support/failpoint.py).
"""

from __future__ import annotations

import os
import sys
import time
import types
from pathlib import Path

FOLDER = Path(os.environ.get("CHEAP_FOLDER", "/nonexistent"))


def note(text: str) -> None:
    with (FOLDER / "log").open("a", encoding="ascii") as log:
        log.write(f"{text}\n")


def step(name: str, step_name: str) -> None:
    while (FOLDER / "stop" / f"{name}.{step_name}").exists():
        time.sleep(0.02)


def move_bytes(seconds: float) -> None:
    end = time.monotonic() + seconds
    with Path("/dev/null").open("wb") as sink:
        while time.monotonic() < end:
            sink.write(bytes(1 << 20))
            time.sleep(0.01)


def make_base(context: object) -> None:
    from maglica.host_worker.journal.bases import Base

    left = context.journal.bases()
    base = Base("1", "image", "uuid", "version", "making", "default")
    if not left:
        context.journal.add_base(base)
    context.journal.update_base(base.id, state="ready", facts=None)
    context.journal.remove_base(base.id)


def run(requests: list, context: object) -> None:
    for request in requests:
        one(request, context)


def one(request: object, context: object) -> None:
    from maglica.host_worker.journal.intents import Effect
    from maglica.model.errors import StorageFailed
    from maglica.model.vm import Domain, vm_uuid

    name = request.name
    draft, made = FOLDER / "draft" / name, FOLDER / "made" / name
    with context.phase(request.id, "copy"):
        step(name, "before")
        if "CHEAP_WITHOUT_INTENTS" not in os.environ:
            context.journal.intend(request.id, Effect.FILE, {"path": str(draft), "name": name})
        step(name, "intended")
        draft.touch(exist_ok=False)
        if name.startswith("counts"):
            context.counted(request.id, "copy", 3, 9)
        if name.startswith("crash"):
            os.abort()
        while name.startswith("hang"):
            time.sleep(1)
        if name.startswith("base"):
            make_base(context)
        if name.startswith("lock"):
            with context.journal._db.write():
                time.sleep(1000)
        if name.startswith("busy"):
            move_bytes(seconds=6)
        step(name, "copied")
    if name.startswith("fail"):
        undo(request.id, context)
        context.failed(request, StorageFailed(f"cannot clone {name} on host {context.host}: no"))
        return
    with context.phase(request.id, "define"):
        draft.rename(made)
        step(name, "defined")
    note(f"made {name}")
    if "CHEAP_DEFINE" in os.environ:
        define(request, context)
    told = "other.example.jp" if name.startswith("renamed") else name
    uuid = vm_uuid(request.id)
    vm = Domain(told, uuid, context.host, "running", active=True, image=request.spec.image)
    context.done(request, vm)
    step(name, "done")


def define(request: object, context: object) -> None:
    """Define the vm in libvirt, too, as its test driver can."""
    from maglica.domain import definition
    from maglica.domain.clone import ClonePlan, DiskSource, clone
    from maglica.model.vm import vm_uuid

    spec, connection = request.spec, context.connect()
    xml = connection.lookupByName(spec.image).XMLDesc()
    disks = [disk.target for disk in definition.describe(xml).copied_disks]
    plan = ClonePlan(
        name=spec.name,
        uuid=vm_uuid(request.id),
        image=spec.image,
        request=request.id,
        created=1,
        who=request.who,
        clone_mode=spec.clone_mode,
        disks={target: DiskSource(f"/pool/{spec.name}.{target}.qcow2") for target in disks},
        interfaces=spec.interfaces,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
    )
    domain = connection.defineXML(clone(xml, plan))
    if spec.start:
        domain.create()


def undo(request_id: str, context: object, _kept: object = ()) -> None:
    for intent in reversed(context.journal.intents(request_id)):
        name = intent.data["name"]
        step(name, "undo")
        if (FOLDER / "stop" / f"{name}.undo-fails").exists():
            from maglica.model.errors import StorageFailed

            raise StorageFailed(f"cannot undo {name}")
        for folder in ("draft", "made"):
            (FOLDER / folder / name).unlink(missing_ok=True)
        note(f"undone {name}")
    context.journal.forget(request_id)


if "FAILPOINT_FILE" in os.environ:
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from support import failpoint

    failpoint.plant(Path(os.environ["FAILPOINT_FILE"]), os.environ["FAILPOINT_JOURNAL"])
if "CHEAP_FOLDER" in os.environ:
    for module_name, content in (("vm.clone", {"run": run}), ("undo", {"undo": undo})):
        module = types.ModuleType(f"maglica.host_worker.job.{module_name}")
        vars(module).update(content)
        sys.modules[module.__name__] = module
if "WITHOUT_FEATURES" in os.environ:
    from maglica.model.errors import MessageInvalid
    from maglica.wire import features, messages

    def refusing(check):
        def refuse(kind, body):
            for request in body.get("requests", ()):
                if request.keys() & {"done", "total"}:
                    raise MessageInvalid("a request has a field of no feature that was named")
            return check(kind, body)

        return refuse

    def deaf(check):
        def asked(kind, body):
            if body.keys() & {"worker", "done", "total"}:
                raise MessageInvalid("it has a field of no feature that was named")
            return check(kind, {key: body[key] for key in body if key != "features"})

        return asked

    features.OWN = ()
    messages.asked = deaf(messages.asked)
    messages.answered = refusing(messages.answered)
    messages.published = refusing(messages.published)
