# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the architecture: it is up to date, and shows what the source says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import PurePosixPath

from support.arrows import Source, read
from tools import picture
from tools.layout import House, Layout, floors

LIB = "module_utils/maglica"
# Each file and what it imports: a diamond, two rooms that import each other, a long way down.
FILES = {
    f"{LIB}/_deps.py": "",
    f"{LIB}/model/vm.py": "",
    f"{LIB}/wire/client.py": "from .. import _deps\nfrom ..model import vm",
    f"{LIB}/guest/plan.py": "from .network import families",
    f"{LIB}/guest/facts.py": "from ..model import vm",
    f"{LIB}/guest/network/families.py": "from .. import facts",
    f"{LIB}/host_worker/main.py": "from .job import act\nfrom ..wire import client",
    f"{LIB}/host_worker/job/act.py": "from ...guest import plan\nfrom ...model import vm",
    f"{LIB}/client_worker/main.py": "from ..wire import client\nfrom ..model import vm",
    "modules/maglica_vm.py": "from ..module_utils.maglica.wire import client",
    "doc_fragments/connection.py": "",
}
SOURCES = [Source(PurePosixPath(path), text) for path, text in FILES.items()]


def test_the_picture_is_what_the_source_says_now() -> None:
    drawn = picture.drawn(read(picture.CHECKOUT))
    assert picture.FILE.read_text() == drawn, "the rooms have changed: run `make picture`"


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    house = House.of(SOURCES)
    assert house.arrows == {
        "maglica": set(),
        "model": set(),
        "wire": {"maglica", "model"},
        "guest": {"model"},
        "host_worker/main": {"host_worker/job", "wire"},
        "host_worker/job": {"guest"},
        "client_worker/main": {"wire"},
        "modules": {"wire"},
    }


def test_rooms_that_import_each_other_are_one_box() -> None:
    labels = House.of(SOURCES).labels
    assert labels["guest"] == ["guest/", "network/"]
    assert labels["maglica"] == ["_deps.py"]
    assert labels["host_worker/main"] == ["host_worker/main.py"]


def test_a_room_stands_above_what_it_imports_and_the_components_above_the_library() -> None:
    assert floors(House.of(SOURCES).arrows) == {
        "maglica": 0,
        "model": 0,
        "wire": 1,
        "guest": 1,
        "host_worker/job": 2,
        "host_worker/main": 3,
        "client_worker/main": 2,
        "modules": 2,
    }


def test_boxes_do_not_overlap_and_stay_in_the_frame_of_their_component() -> None:
    layout = Layout(House.of(read(picture.CHECKOUT)))
    for row in layout.rows:
        for node in row:
            left, right = layout.columns[node.component]
            assert left <= node.x - node.width / 2, node
            assert node.x + node.width / 2 <= right, node
        for one, other in zip(row, row[1:]):
            assert one.x + one.width / 2 < other.x - other.width / 2, (one, other)


def test_every_room_and_arrow_is_drawn() -> None:
    svg = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(picture.drawn(SOURCES))
    texts = {element.text for element in root.iter(f"{svg}text")}
    assert texts >= {"wire/", "guest/", "network/", "_deps.py", "host worker", "plugins", "library"}
    arrows = [e for e in root.iter(f"{svg}path") if "arrow" in e.get("class", "").split()]
    assert len(arrows) == sum(map(len, House.of(SOURCES).arrows.values()))
