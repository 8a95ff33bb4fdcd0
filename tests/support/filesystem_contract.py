# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every implementation of ``guest.filesystem.Filesystem`` does; derive a test class from it.

The derived class has a fixture ``filesystem`` with the guest of ``scene`` in it.
"""

from __future__ import annotations

import pytest
from maglica.guest.filesystem import MAX_MATCHES, Filesystem, Kind
from maglica.model.errors import GuestUnreadable, GuestUnsupported

FILES = {
    "etc/hostname": "old\n",
    "etc/empty": "",
    "etc/long": "x" * 5000,
    "etc/.hidden": "",
    "var/lib/one.lease": "1",
    "var/lib/two.lease": "2",
    "var/lib/other": "3",
    **{f"srv/many/{number}": "" for number in range(MAX_MATCHES + 1)},
}
# Where they lead must be inside the guest: /etc/hostname of the machine is not "old".
LINKS = {
    "etc/link": "hostname",
    "etc/absolute": "/etc/hostname",
    "etc/above": "../../../../etc/hostname",
    "etc/dangling": "nowhere",
    "lib": "var/lib",
    "etc/loop": "loop",
    "etc/device": "pipe",
    "etc/link2": "/etc/hostname",
}
PIPE = "etc/pipe"


class FilesystemContract:
    """The tests share one guest; each makes what it changes under a name of its own."""

    def owner(self, filesystem: Filesystem, path: str) -> tuple[int, int]:
        """Return who owns what stands at ``path``."""
        raise NotImplementedError

    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("/etc/hostname", Kind.FILE),
            ("/etc", Kind.DIRECTORY),
            ("/etc/link", Kind.SYMLINK),
            ("/etc/dangling", Kind.SYMLINK),
            ("/etc/pipe", Kind.OTHER),
            ("/etc/nothing", Kind.ABSENT),
            ("/etc/nothing/below", Kind.ABSENT),
            ("/etc/hostname/below", Kind.ABSENT),
            ("/lib", Kind.SYMLINK),
            ("/lib/other", Kind.FILE),
        ],
    )
    def test_kind(self, filesystem: Filesystem, path: str, kind: Kind) -> None:
        assert filesystem.kind(path) is kind

    def test_a_name_that_no_file_can_have(self, filesystem: Filesystem) -> None:
        for ask in (filesystem.kind, filesystem.glob, lambda name: filesystem.read(name, 10)):
            with pytest.raises(GuestUnsupported, match="no file can have that name"):
                ask("/etc/a\0b")

    @pytest.mark.parametrize("name", ["hostname", "link", "absolute", "above"])
    def test_reads_inside_the_guest(self, filesystem: Filesystem, name: str) -> None:
        assert filesystem.read(f"/etc/{name}", 100) == b"old\n"

    @pytest.mark.parametrize("path", ["/etc/nothing", "/etc/dangling", "/etc/hostname/below"])
    def test_reads_nothing_where_nothing_is(self, filesystem: Filesystem, path: str) -> None:
        assert filesystem.read(path, 100) is None

    def test_reads_an_empty_file(self, filesystem: Filesystem) -> None:
        assert filesystem.read("/etc/empty", 0) == b""

    def test_reads_up_to_the_limit(self, filesystem: Filesystem) -> None:
        assert filesystem.read("/etc/long", 5000) == b"x" * 5000

    @pytest.mark.parametrize(
        ("path", "problem"),
        [
            ("/etc/long", "longer than 4999"),
            ("/etc/pipe", "not a plain file"),
            ("/etc/device", "not a plain file"),
            ("/etc", "not a plain file"),
        ],
    )
    def test_refuses_to_read(self, filesystem: Filesystem, path: str, problem: str) -> None:
        with pytest.raises(GuestUnsupported, match=problem):
            filesystem.read(path, 4999)

    def test_a_loop_of_links_can_not_be_read(self, filesystem: Filesystem) -> None:
        with pytest.raises(GuestUnreadable, match="loop"):
            filesystem.read("/etc/loop", 100)

    def test_creates_a_file(self, filesystem: Filesystem) -> None:
        filesystem.create("/etc/new", b"\0new\n", 0o600)
        assert filesystem.read("/etc/new", 100) == b"\0new\n"

    def test_creates_in_the_place_of_a_file(self, filesystem: Filesystem) -> None:
        filesystem.create("/etc/again", b"a longer one", 0o644)
        filesystem.create("/etc/again", b"short", 0o644)
        assert filesystem.read("/etc/again", 100) == b"short"

    def test_creates_in_the_place_of_a_link_and_not_behind_it(self, filesystem: Filesystem) -> None:
        filesystem.create("/lib/target", b"kept", 0o644)
        filesystem.create("/etc/dangling", b"new", 0o644)
        assert filesystem.kind("/etc/dangling") is Kind.FILE
        assert filesystem.kind("/etc/nowhere") is Kind.ABSENT

    @pytest.mark.parametrize("path", ["/etc/pipe", "/etc"])
    def test_refuses_to_create(self, filesystem: Filesystem, path: str) -> None:
        with pytest.raises(GuestUnsupported, match="not a plain file"):
            filesystem.create(path, b"", 0o644)

    def test_creates_nothing_without_a_folder(self, filesystem: Filesystem) -> None:
        with pytest.raises(GuestUnreadable, match="/etc/missing/file"):
            filesystem.create("/etc/missing/file", b"", 0o644)

    def test_fills(self, filesystem: Filesystem) -> None:
        filesystem.create("/etc/laid-out", b"much longer than that", 0o600)
        filesystem.fill("/etc/laid-out", b"short")
        assert filesystem.read("/etc/laid-out", 100) == b"short"

    def test_makes_folders(self, filesystem: Filesystem) -> None:
        filesystem.make_directory("/srv/a/b", 0o700)
        assert filesystem.kind("/srv/a/b") is Kind.DIRECTORY
        filesystem.create("/srv/a/b/file", b"", 0o644)

    def test_makes_files_and_folders_with_that_mode_and_owner(self, filesystem: Filesystem) -> None:
        filesystem.make_directory("/srv/own", 0o750, (1000, 1001))
        filesystem.create("/srv/own/file", b"", 0o640, (1000, 1001))
        filesystem.create("/srv/own/roots", b"", 0o755)
        names = ("/srv/own", "/srv/own/file", "/srv/own/roots")
        assert [filesystem.mode(name) for name in names] == [0o750, 0o640, 0o755]
        people = [(1000, 1001), (1000, 1001), (0, 0)]
        assert [self.owner(filesystem, name) for name in names] == people
        # What is there changes hands, and keeps what is in it.
        filesystem.make_directory("/srv/own", 0o700, (2000, 2000))
        assert (filesystem.mode("/srv/own"), filesystem.read("/srv/own/file", 1)) == (0o700, b"")
        assert self.owner(filesystem, "/srv/own") == (2000, 2000)

    def test_makes_no_folder_in_the_place_of_a_file(self, filesystem: Filesystem) -> None:
        with pytest.raises(GuestUnreadable, match="/etc/hostname"):
            filesystem.make_directory("/etc/hostname", 0o755)

    def test_removes(self, filesystem: Filesystem) -> None:
        filesystem.create("/etc/gone", b"", 0o644)
        filesystem.remove("/etc/gone")
        filesystem.remove("/etc/gone")
        assert filesystem.kind("/etc/gone") is Kind.ABSENT

    def test_removes_a_link_and_not_what_is_behind(self, filesystem: Filesystem) -> None:
        filesystem.remove("/etc/link2")
        assert filesystem.kind("/etc/link2") is Kind.ABSENT
        assert filesystem.read("/etc/hostname", 100) == b"old\n"

    def test_removes_no_folder(self, filesystem: Filesystem) -> None:
        with pytest.raises(GuestUnsupported, match="is a directory"):
            filesystem.remove("/etc")

    def test_globs(self, filesystem: Filesystem) -> None:
        assert filesystem.glob("/var/lib/*.lease") == ("/var/lib/one.lease", "/var/lib/two.lease")
        assert filesystem.glob("/lib/o*") == ("/lib/one.lease", "/lib/other")
        assert filesystem.glob("/var/lib/nothing*") == ()
        assert filesystem.glob("/nowhere/*") == ()
        assert filesystem.glob("/etc/*idden") == ()
        assert filesystem.glob("/v*/*/one.*") == ("/var/lib/one.lease",)

    def test_globs_of_odd_names(self, filesystem: Filesystem) -> None:
        filesystem.make_directory("/opt/odd", 0o755)
        for name in ("{a,b}", "a", "[x]*", "x1"):
            filesystem.create(f"/opt/odd/{name}", b"", 0o644)
        assert filesystem.glob("/opt/odd/{a,b}") == ("/opt/odd/a",)
        assert filesystem.glob(r"/opt/odd/\{a,b\}") == ("/opt/odd/{a,b}",)
        assert filesystem.glob(r"/opt/odd/\[x]\*") == ("/opt/odd/[x]*",)

    def test_globs_no_crowd(self, filesystem: Filesystem) -> None:
        assert len(filesystem.glob("/srv/many/*00")) == 10
        with pytest.raises(GuestUnsupported, match=r"/srv/many/\* in the guest matches more than"):
            filesystem.glob("/srv/many/*")
