# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that hands requests in by the library and waits for them, and may be killed at will.

`python3 -m faults.submitter CONFIG PLAN ALLOWED ENDED`: PLAN has one request a line, as JSON with
its id; the ids are older than the first message. ALLOWED says how many of them may be handed in so
far. ENDED gets a line with id and state of each that ended, and is read at the next start, which
hands in the others again.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from pathlib import Path

from maglica.config import config
from maglica.model.errors import MaglicaError
from maglica.model.request import Request
from maglica.verbs.clone import CloneSpec
from maglica.wire.client import Client
from support.reports import IMAGE

# So many are under way at a time: each takes memory of its host.
WINDOW = 48
GROUP = 12
PATIENCE = 120.0
PAUSE = 0.1
LOOK = 0.02


def main(words: list[str]) -> int:
    config_path, plan, allowed, ended = words
    done, limit = Path(ended), Path(allowed)
    known = {line.split()[0] for line in done.read_text().splitlines()} if done.exists() else set()
    lines = [json.loads(line) for line in Path(plan).read_text().splitlines()]
    total = len(lines)
    waiting = deque(
        Request(line["id"], CloneSpec(line["name"], IMAGE, memory_mib=16, start=False))
        for line in lines
        if line["id"] not in known
    )
    with Client(config.load(Path(config_path)), 2.0, 30) as client, done.open("a") as record:
        under_way: deque[str] = deque()
        while waiting or under_way:
            open_ = int(limit.read_text()) - (total - len(waiting))
            while open_ > 0 and waiting and len(under_way) < WINDOW:
                group = [waiting.popleft() for _turn in range(min(GROUP, len(waiting), open_))]
                open_ -= len(group)
                under_way.extend(hand_in(client, group))
            if not under_way:
                time.sleep(LOOK)
                continue
            request_id = under_way.popleft()
            state = wait(client, request_id)
            record.write(f"{request_id} {state}\n")
            record.flush()
    return 0


def hand_in(client: Client, group: list[Request]) -> list[str]:
    """Hand a group in until it is accepted; hosts may be down, or not have reported yet."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if len(group) % 2:
                return [client.submit(each.spec, each.id).id for each in group]
            return [request.id for request in client.submit_all(group)]
        except MaglicaError as error:
            if error.code not in ("image_unknown", "host_down", "no_room", "peer_silent"):
                raise
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE)


def wait(client: Client, request_id: str) -> str:
    """Return the state in which a request has ended; or the error's code if it is not known."""
    try:
        request = client.wait(request_id, PATIENCE)
    except MaglicaError as error:
        return error.code
    return request.state.value if request.failure is None else request.failure.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
