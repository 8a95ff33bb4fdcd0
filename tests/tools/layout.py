# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where rooms stand in a picture of them: each above all that it imports, few arrows crossing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from support.arrows import Arrows, Source, circles, file_arrows, reach, room, room_arrows

LIBRARY = "library"
# What stands on the library, from left to right: folder, name.
COMPONENTS = {
    "plugins": "plugins",
    "cli": "command",
    "client_worker": "client worker",
    "host_worker": "host worker",
}
IN_PLUGINS = ("action", "inventory", "module_utils", "modules", "plugin_utils")

# Pixels.
CHARACTER, PADDING = 7.3, 10
BESIDE, LANE = 16, 12
MARGIN, FRAME = 16, 14
SWEEPS = 24
# How much more than its ends the middle of a long arrow counts.
STRAIGHT = 4


def component(name: str) -> str:
    """Return the component that a room belongs to, by its folder."""
    first = name.partition("/")[0]
    if first in IN_PLUGINS:
        return "plugins"
    return first if first in COMPONENTS else LIBRARY


@dataclass(frozen=True)
class House:
    """The rooms to draw, the arrows between them, and what each is called."""

    arrows: dict[str, set[str]]
    labels: dict[str, list[str]]

    @classmethod
    def of(cls, sources: Iterable[Source]) -> House:
        files = file_arrows(sources)
        arrows = room_arrows(files)
        used = {other for others in arrows.values() for other in others}
        arrows = {name: others for name, others in arrows.items() if others or name in used}
        box = {name: name for name in arrows}
        for circle in circles(arrows):
            box.update(dict.fromkeys(circle, min(circle, key=lambda name: (len(name), name))))
        merged: dict[str, set[str]] = {name: set() for name in box.values()}
        for name, others in arrows.items():
            merged[box[name]] |= {box[other] for other in others} - {box[name]}
        labels = {
            name: label(name, sorted(each for each in box if box[each] == name), files)
            for name in merged
        }
        return cls(reduced(merged), labels)


def label(name: str, members: Sequence[str], files: Iterable[str]) -> list[str]:
    """Return the lines in a box: the room, and below it those that are drawn with it."""
    if name == "maglica":
        own = sorted(file for file in files if room(file) == name)
        return [", ".join(file.rpartition("/")[2] for file in own)]
    first = f"{name}.py" if name.endswith("/main") else f"{name}/"
    others = [f"{each.removeprefix(f'{name}/')}/" for each in members if each != name]
    return [first, *others]


def reduced(arrows: Arrows) -> dict[str, set[str]]:
    """Leave out each arrow whose end is reached by another way too."""
    return {
        name: others - {far for other in others for far in reach(arrows, other)}
        for name, others in ((name, set(others)) for name, others in arrows.items())
    }


def floors(arrows: Arrows) -> dict[str, int]:
    """Return for each room its floor, 0 at the bottom; the components stand above the library."""
    found: dict[str, int] = {}

    def height(name: str, within: str) -> int:
        below = [height(o, within) + 1 for o in arrows[name] if component(o) == within]
        return max(below, default=0)

    library = [name for name in arrows if component(name) == LIBRARY]
    for name in library:
        found[name] = height(name, LIBRARY)
    ground = max(found.values(), default=-1) + 1
    for name in arrows.keys() - set(library):
        found[name] = ground + height(name, component(name))
    return found


@dataclass
class Node:
    """A box, or a point through which an arrow passes a floor; `x` is its middle."""

    key: tuple[str, ...]
    floor: int
    component: str
    width: float
    x: float = 0.0

    @property
    def is_box(self) -> bool:
        return len(self.key) == 1


class Layout:
    """Where everything stands. Floors are filled from the bottom; arrows lead down."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.floor = floors(house.arrows)
        self.nodes: dict[tuple[str, ...], Node] = {}
        self.up: defaultdict[tuple[str, ...], list[Node]] = defaultdict(list)
        self.down: defaultdict[tuple[str, ...], list[Node]] = defaultdict(list)
        self.paths: list[list[Node]] = []
        for name in sorted(house.arrows):
            longest = max(map(len, house.labels[name]))
            self._add((name,), self.floor[name], component(name), longest * CHARACTER + 2 * PADDING)
        for name in sorted(house.arrows):
            for other in sorted(house.arrows[name]):
                self._connect(name, other)
        top = max(self.floor.values())
        rows = [[n for n in self.nodes.values() if n.floor == floor] for floor in range(top + 1)]
        self.rows = [[node for some in by_component(row) for node in some] for row in rows]
        self._order()
        self.columns = self._columns()
        self._place()

    def _add(self, key: tuple[str, ...], floor: int, component: str, width: float) -> Node:
        self.nodes[key] = node = Node(key, floor, component, width)
        return node

    def _connect(self, name: str, other: str) -> None:
        start, end = self.nodes[name,], self.nodes[other,]
        ground = max((f for n, f in self.floor.items() if component(n) == LIBRARY), default=-1)
        path = [start]
        for floor in range(start.floor - 1, end.floor, -1):
            inside = start.component if floor > ground else LIBRARY
            path.append(self._add((name, other, str(floor)), floor, inside, LANE))
        path.append(end)
        for above, below in zip(path, path[1:]):
            self.down[above.key].append(below)
            self.up[below.key].append(above)
        self.paths.append(path)

    def _order(self) -> None:
        """Order each floor so that few arrows cross, each component together."""
        best = [list(row) for row in self.rows]
        fewest = self.crossings()
        for sweep in range(SWEEPS):
            rows = self.rows if sweep % 2 else self.rows[::-1]
            neighbours = self.down if sweep % 2 else self.up
            for row in rows:
                self._sort(row, neighbours)
            if self.crossings() < fewest:
                fewest, best = self.crossings(), [list(row) for row in self.rows]
        self.rows = best

    def _sort(self, row: list[Node], neighbours: Mapping[tuple[str, ...], list[Node]]) -> None:
        position = self._positions()
        order = [LIBRARY, *COMPONENTS]

        def wanted(node: Node) -> tuple[int, float]:
            others = [position[other.key] for other in neighbours[node.key]]
            middle = sum(others) / len(others) if others else position[node.key]
            return order.index(node.component), middle

        row.sort(key=wanted)

    def _positions(self) -> dict[tuple[str, ...], float]:
        """Return where in its row each node stands, from 0 to 1."""
        return {
            node.key: (index + 0.5) / len(row)
            for row in self.rows
            for index, node in enumerate(row)
        }

    def crossings(self) -> int:
        """Count the arrows that cross between two floors."""
        position = {n.key: index for row in self.rows for index, n in enumerate(row)}
        count = 0
        for row in self.rows[1:]:
            ends: list[int] = []
            for node in row:
                below = sorted(position[other.key] for other in self.down[node.key])
                count += sum(end > other for other in below for end in ends)
                ends += below
        return count

    def _columns(self) -> dict[str, tuple[float, float]]:
        """Return from where to where each component's frame reaches."""
        columns: dict[str, tuple[float, float]] = {}
        x: float = MARGIN
        for name in COMPONENTS:
            rows = [[n for n in row if n.component == name] for row in self.rows]
            width = max(row_width(row) for row in rows)
            if width:
                columns[name] = (x, x + width + 2 * FRAME)
                x = columns[name][1] + BESIDE
        library = max(row_width([n for n in r if n.component == LIBRARY]) for r in self.rows)
        right = max(x - BESIDE, MARGIN + library + 2 * FRAME)
        columns[LIBRARY] = (MARGIN, right)
        return columns

    def _place(self) -> None:
        """Move each node as near to its neighbours as the others let it, again and again."""
        for row in self.rows:
            for some in by_component(row):
                fit(some, [0.0] * len(some), *self._inner(some))
        for sweep in range(SWEEPS):
            for row in self.rows if sweep % 2 else self.rows[::-1]:
                for some in by_component(row):
                    fit(some, [self._wish(node) for node in some], *self._inner(some))

    def _wish(self, node: Node) -> float:
        """Return the middle of the neighbours; long arrows had rather be straight."""
        others = [*self.up[node.key], *self.down[node.key]]
        weights = [1 if node.is_box or other.is_box else STRAIGHT for other in others]
        xs = [other.x * weight for other, weight in zip(others, weights)]
        return sum(xs) / sum(weights) if others else node.x

    def _inner(self, nodes: Sequence[Node]) -> tuple[float, float]:
        left, right = self.columns[nodes[0].component]
        return left + FRAME, right - FRAME


def by_component(row: Sequence[Node]) -> Iterator[list[Node]]:
    for name in (LIBRARY, *COMPONENTS):
        some = [node for node in row if node.component == name]
        if some:
            yield some


def row_width(row: Sequence[Node]) -> float:
    return sum(node.width for node in row) + BESIDE * (len(row) - 1) if row else 0.0


def fit(nodes: Sequence[Node], wishes: Sequence[float], left: float, right: float) -> None:
    """Put nodes in their order as near to their wishes as can be, in the sense of least squares."""
    offset = left
    offsets = []
    for node in nodes:
        offsets.append(offset + node.width / 2)
        offset += node.width + BESIDE
    room_left = right - (offset - BESIDE)
    blocks: list[tuple[float, int]] = []
    for wish, start in zip(wishes, offsets):
        total, count = wish - start, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    shifts = [total / count for total, count in blocks for _turn in range(count)]
    for node, start, shift in zip(nodes, offsets, shifts):
        node.x = start + min(max(shift, 0.0), room_left)
