# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that knows how this host is; the main loop never waits for it.

It has its own connection to libvirtd and makes a report now and then, and soon after a domain has
changed. When libvirtd does not answer, the last report stands, with the problem said.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..._deps import need
from ...config.config import HostWorker
from ...libvirtd import local
from ...model.errors import MaglicaError
from ...model.moment import Moment
from ...model.reported import ReportedDomain
from ...model.request import HostReport
from ...model.text import one_line
from ...system.backoff import Backoff
from .. import macs
from ..journal.journal import Journal
from .guest_looks import GuestLooks
from .report import Inspector

_log = logging.getLogger(__name__)

PAUSES = Backoff(1.0, 15.0)
# Changes come in swarms.
SETTLE_SECONDS = 0.2
# libvirtd is asked whether it lives, so that a call on a dead one ends.
KEEPALIVE_SECONDS = 5
KEEPALIVE_COUNT = 2
OVERDUE_SECONDS = 20.0


class Reporter:
    """Makes reports in a thread of its own; ``waker`` is written to when there is a new one."""

    def __init__(self, settings: HostWorker, waker: int) -> None:
        self._settings = settings
        self._waker = waker
        self._poked = threading.Event()
        self._changed: deque[str] = deque()
        self._looks = GuestLooks(settings, self.poke)
        self._made = threading.Event()
        just_started = "its worker has just started"
        self._latest = HostReport(problem=just_started, libvirt_error=just_started)
        self._told: HostReport | None = None
        self._busy_since: float | None = None
        # The leftovers that the log has named.
        self._named: frozenset[str] = frozenset()
        # The MAC addresses that jobs can read.
        self._macs: frozenset[str] | None = None
        # Images to prepare, as the newest report found them.
        self.unprepared: tuple[str, ...] = ()
        # The domains as lists show them, as the newest report found them.
        self.shown: tuple[ReportedDomain, ...] = ()

    def start(self) -> None:
        """Start the threads; they end with the process."""
        # Once, and before any connection is opened; libvirt's events come through it.
        need("libvirt").virEventRegisterDefaultImpl()
        for body in (_run_events, self._run):
            threading.Thread(target=body, daemon=True, name=body.__name__).start()
        self._looks.start()

    def wait(self, seconds: float) -> None:
        """Wait until the first report is there, or so long."""
        self._made.wait(seconds)

    def poke(self) -> None:
        """Have a report made soon: something has changed of which libvirt does not tell."""
        self._poked.set()

    def changed(self, uuid: str) -> None:
        """Have a domain's definition read again, and a report made soon."""
        self._changed.append(uuid)
        self._poked.set()

    def report(self, problem: str | None) -> HostReport:
        """Return the newest report, ``problem`` added to it."""
        self._told = self._latest
        overdue = self._overdue()
        problems = [self._latest.problem, problem, overdue]
        return replace(
            self._latest,
            problem="; ".join(filter(None, problems)) or None,
            libvirt_error=self._latest.libvirt_error or overdue,
        )

    def has_told(self, since: float) -> bool:
        """Tell whether a report was told that was begun after ``since``, in seconds since 1970."""
        return self._told is not None and self._told.taken > since

    def has_news(self) -> bool:
        """Tell whether a report is there that ``report`` has not yet returned."""
        return self._latest is not self._told

    def _overdue(self) -> str | None:
        since = self._busy_since
        if since is None or time.monotonic() - since < OVERDUE_SECONDS:
            return None
        return f"libvirtd on host {self._settings.name} does not answer"

    def _run(self) -> None:
        failures = 0
        while True:
            try:
                with _connection(self._settings, self._changed, self.changed) as inspector:
                    while True:
                        self._keep(inspector)
                        failures = 0
            except MaglicaError as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 - without its thread the last report would stand
                _log.exception("no report can be made")
                self._fail(f"its worker has a bug: {type(error).__name__}: {error}")
            self._poked.clear()
            self._poked.wait(PAUSES.pause(failures))
            failures += 1

    def _fail(self, problem: str) -> None:
        self._publish(replace(self._latest, problem=problem, libvirt_error=problem), self.shown)

    def _keep(self, inspector: Inspector) -> None:
        self._busy_since = time.monotonic()
        taken = Moment(time.time())
        try:
            report = replace(inspector.report(self._looks.latest), taken=taken)
        finally:
            self._busy_since = None
        self.unprepared = inspector.unprepared
        self._looks.know(inspector.guests)
        self._note(inspector.macs)
        self._publish(report, inspector.shown)
        if self._poked.wait(self._settings.hello_interval):
            time.sleep(SETTLE_SECONDS)
        self._poked.clear()

    def _note(self, found: frozenset[str]) -> None:
        if found == self._macs:
            return
        # What a full disk means is told by the journal, which lies beside it.
        with contextlib.suppress(OSError):
            macs.write(self._settings.state_dir, found)
            self._macs = found

    def _publish(self, report: HostReport, shown: tuple[ReportedDomain, ...]) -> None:
        if report.problem and report.problem != self._latest.problem:
            _log.warning("%s", report.problem)
        for leftover in report.leftovers:
            if leftover.path not in self._named:
                _log.warning(
                    "leftover: %s looks like Maglica's, and nothing shows that it is; if nobody"
                    " needs it, this removes it: %s",
                    one_line(leftover.path),
                    one_line(leftover.command),
                )
        self._named = frozenset(leftover.path for leftover in report.leftovers)
        is_same = report == replace(self._latest, taken=report.taken) and shown == self.shown
        self.shown = shown
        if is_same:
            # Nothing new, but of now: it is told with the next hello.
            was_told = self._told is self._latest
            self._latest = report
            if was_told:
                self._told = report
        else:
            self._latest = report
            with contextlib.suppress(BlockingIOError):
                os.write(self._waker, b"\0")
        self._made.set()


@contextlib.contextmanager
def _connection(
    settings: HostWorker, changed: deque[str], tell: Callable[[str], None]
) -> Iterator[Inspector]:
    """Open a connection that tells of changes; close it and the journal at the end.

    ``tell`` gets the UUID of a domain that has changed, ``changed`` are those to be read again.
    """
    libvirt = need("libvirt")
    journal = Journal(settings.state_dir)
    try:
        connection = local.connect(settings.uri, settings.name)
    except MaglicaError:
        journal.close()
        raise
    try:
        inspector = Inspector(connection, journal, settings, changed)

        def on_event(_connection: Any, domain: Any, *_event: Any) -> None:
            tell(domain.UUIDString())

        with local.errors("watch libvirtd", settings.name):
            with contextlib.suppress(libvirt.libvirtError):
                # Drivers inside this process have nothing to keep alive.
                connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
            event = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
            connection.domainEventRegisterAny(None, event, on_event, None)
        for event in (
            libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
            libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
        ):
            # What a driver does not tell, the turn in which all are read again finds.
            with contextlib.suppress(libvirt.libvirtError):
                connection.domainEventRegisterAny(None, event, on_event, None)
        yield inspector
    finally:
        journal.close()
        with contextlib.suppress(libvirt.libvirtError):
            connection.close()


def _run_events() -> None:
    libvirt = need("libvirt")
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError as error:
            _log.warning("libvirt's events: %s", error)
            time.sleep(PAUSES.first)
