# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the rooms of plugins/ and who imports whom into docs/architecture.svg. See `make picture`.

A room stands above all that it imports. The library is the ground floor; the components that are
made of it stand on it side by side. Rooms that import each other are one box. An arrow that
follows from others is left out. The same source gives the same picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from support.arrows import Source, read

from .layout import COMPONENTS, FRAME, LIBRARY, MARGIN, PADDING, House, Layout, Node

CHECKOUT = Path(__file__).resolve().parents[2]
FILE = CHECKOUT / "docs" / "architecture.svg"

# Pixels.
LINE, BETWEEN, TITLE = 15, 54, 24

# Of each component's lines and titles: on light paper, on dark paper.
COLOURS = {
    "plugins": ("#8250df", "#ab7df8"),
    "cli": ("#9a6700", "#d29922"),
    "client_worker": ("#1a7f37", "#3fb950"),
    "host_worker": ("#bc4c00", "#f0883e"),
    LIBRARY: ("#0969da", "#4493f8"),
}
STYLE = """
.frame { fill-opacity: 0.07; stroke-opacity: 0.5; }
.box { stroke-width: 1.5; }
.arrow { fill: none; stroke-width: 1.4; stroke-opacity: 0.8; }
text { font: 12px ui-monospace, monospace; text-anchor: middle; }
.small { font-size: 10.5px; }
.title { font: bold 13px sans-serif; text-anchor: start; }
.note { font: 12px sans-serif; text-anchor: start; }
"""


def style() -> str:
    """Return the style sheet: the reader's own choice of light or dark, on paper of our own."""
    light = "\n".join(theme("#ffffff", "#1f2328", "#59636e", 0))
    dark = "\n".join(theme("#0d1117", "#e6edf3", "#9198a1", 1))
    return f"{light}{STYLE}@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


def theme(paper: str, ink: str, faint: str, column: int) -> Iterator[str]:
    yield f".paper, .box {{ fill: {paper}; }}"
    yield f"text {{ fill: {ink}; }}"
    yield f".small, .note {{ fill: {faint}; }}"
    for name, colours in COLOURS.items():
        colour = colours[column]
        yield f".{name} {{ stroke: {colour}; }}"
        yield f".{name}.frame, .{name}.title, .{name}.head {{ fill: {colour}; }}"
        yield f".{name}.title, .{name}.head {{ stroke: none; }}"


class Drawing:
    """The layout as SVG."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.y: list[tuple[float, float]] = []
        heights = [max(map(self._height, row)) for row in layout.rows]
        ground = max((n.floor for n in layout.nodes.values() if n.component == LIBRARY), default=-1)
        y: float = MARGIN + TITLE
        for floor in range(len(layout.rows) - 1, -1, -1):
            self.y.insert(0, (y, y + heights[floor]))
            y += heights[floor] + BETWEEN
            if floor == ground + 1:
                # One frame ends here, the other one begins.
                y += 2 * FRAME + TITLE - BETWEEN / 2
        self.ground = ground
        self.bottom = y - BETWEEN + FRAME + 2 * LINE + MARGIN
        self.right = max(right for _left, right in layout.columns.values()) + MARGIN

    def _height(self, node: Node) -> float:
        lines = len(self.layout.house.labels[node.key[0]]) if node.is_box else 1
        return lines * LINE + PADDING

    def lines(self) -> Iterator[str]:
        width, height = round(self.right), round(self.bottom)
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img">'
        )
        yield "<title>The rooms of Maglica and who imports whom</title>"
        yield f"<style>\n{style()}\n</style>"
        yield "<defs>"
        for name in (*COMPONENTS, LIBRARY):
            yield (
                f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
                f'markerHeight="7" orient="auto"><path class="{name} head" '
                f'd="M0,0.5 L8,4 L0,7.5 z"/></marker>'
            )
        yield "</defs>"
        yield f'<rect class="paper" width="{width}" height="{height}" rx="8"/>'
        yield from self._frames()
        yield from self._arrows()
        yield from self._boxes()
        note = "An arrow means: imports. One that follows from others is left out."
        yield f'<text class="note" x="{MARGIN}" y="{height - MARGIN}">{note}</text>'
        yield "</svg>"

    def _frames(self) -> Iterator[str]:
        for name, (left, right) in self.layout.columns.items():
            on = [n.floor for n in self.layout.nodes.values() if n.component == name and n.is_box]
            top = self.y[max(on)][0] - TITLE
            bottom = self.y[min(on)][1] + FRAME
            yield (
                f'<rect class="{name} frame" x="{left:.0f}" y="{top:.0f}" '
                f'width="{right - left:.0f}" height="{bottom - top:.0f}" rx="8"/>'
            )
            title = COMPONENTS.get(name, LIBRARY)
            x, y = left + 10, top + 16
            yield f'<text class="{name} title" x="{x:.0f}" y="{y:.0f}">{title}</text>'

    def _boxes(self) -> Iterator[str]:
        for node in self.layout.nodes.values():
            if not node.is_box:
                continue
            top, height = self._top(node), self._height(node)
            yield (
                f'<rect class="{node.component} box" x="{node.x - node.width / 2:.1f}" '
                f'y="{top:.1f}" width="{node.width:.1f}" height="{height:.1f}" rx="5"/>'
            )
            for index, text in enumerate(self.layout.house.labels[node.key[0]]):
                small = ' class="small"' if index else ""
                y = top + PADDING / 2 + (index + 0.75) * LINE
                yield f'<text{small} x="{node.x:.1f}" y="{y:.1f}">{escape(text)}</text>'

    def _top(self, node: Node) -> float:
        """All boxes of a floor stand on it."""
        return self.y[node.floor][1] - self._height(node)

    def _arrows(self) -> Iterator[str]:
        leaving = self._ports(self.layout.down)
        arriving = self._ports(self.layout.up)
        for path in self.layout.paths:
            x, y = leaving[path[0].key, path[1].key], self.y[path[0].floor][1]
            steps = [f"M{x:.1f},{y:.1f}"]
            for above, node in zip(path, path[1:]):
                to_x = arriving[node.key, above.key]
                to_y = self._top(node) if node.is_box else self.y[node.floor][0]
                # All curves of a gap bend in the gap; the rest of the way is straight down.
                gap = self.y[node.floor][0]
                middle = (y + gap) / 2
                steps.append(f"C{x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{gap:.1f}")
                if to_y > gap:
                    steps.append(f"V{to_y:.1f}")
                x, y = to_x, to_y
                if not node.is_box:
                    y = self.y[node.floor][1]
                    steps.append(f"V{y:.1f}")
            colour = path[0].component
            way = " ".join(steps)
            yield f'<path class="{colour} arrow" d="{way}" marker-end="url(#{colour})"/>'

    def _ports(
        self, neighbours: Mapping[tuple[str, ...], list[Node]]
    ) -> dict[tuple[tuple[str, ...], tuple[str, ...]], float]:
        """Return where on a node's edge the arrow from or to each neighbour stands."""
        ports = {}
        for node in self.layout.nodes.values():
            others = sorted(neighbours[node.key], key=lambda other: (other.x, other.key))
            space = node.width - 2 * PADDING if node.is_box else 0.0
            for index, other in enumerate(others):
                share = (index + 1) / (len(others) + 1) - 0.5
                ports[node.key, other.key] = node.x + share * space
        return ports


def drawn(sources: Iterable[Source]) -> str:
    """Return the picture of this source, as the text of an SVG file."""
    return "\n".join(Drawing(Layout(House.of(sources))).lines()) + "\n"


def main() -> None:
    """Write the picture of this checkout."""
    FILE.write_text(drawn(read(CHECKOUT)))
    print(f"wrote {FILE.relative_to(CHECKOUT)}")


if __name__ == "__main__":
    main()
