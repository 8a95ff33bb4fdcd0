# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client worker: ``run.py maglica.client_worker.main --config FILE``."""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import time
from collections.abc import Sequence
from types import FrameType

from .._deps import need
from ..config import config
from ..model.errors import ConfigInvalid, MaglicaError
from ..model.memory_limit import MemoryLimit
from ..system import log, systemd
from ..wire import keys
from .access import AccessFile
from .broker import Broker
from .journal import Journal
from .known.hosts import KnownHosts
from .open_requests import OpenRequests
from .state import Context
from .transactions import Engine

logger = logging.getLogger("maglica.client_worker")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the client worker until SIGTERM; return the exit code."""
    options = _parser().parse_args(arguments)
    log.start("maglica-client-worker")
    try:
        settings = config.load(options.config)
        if options.check:
            _check(settings)
            return 0
        _run(settings)
    except MaglicaError as error:
        logger.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py maglica.client_worker.main",
        description="Take requests from clients, place them, and hand them to the host workers.",
        epilog="SIGTERM ends it, SIGUSR1 logs how many messages were rejected and why."
        " The exit code is 1 when the configuration or the journal can't be used.",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=config.default_path(),
        help="maglica.conf (default: $MAGLICA_CONFIG, else %(default)s)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="check the configuration, keys and access file, and end",
    )
    return parser


def _read_keys(settings: config.Config) -> tuple[keys.KeyPair | None, AccessFile | None]:
    where, service = settings.need_client_worker(), settings.need_client_worker_service()
    if where.insecure:
        return None, None
    pair = keys.read(service.secret_key_file)
    expected = where.public_key
    if expected is not None and pair.public.decode("ascii") not in expected.split():
        raise ConfigInvalid(
            f"{settings.path}: [client_worker] public_key: does not belong to"
            f" {service.secret_key_file}"
        )
    access = AccessFile(service.access_file)
    access.load()
    return pair, access


def _check(settings: config.Config) -> None:
    need("zmq")
    _read_keys(settings)


def _run(settings: config.Config) -> None:
    where, service = settings.need_client_worker(), settings.need_client_worker_service()
    pair, access = _read_keys(settings)
    _allow_many_connections()
    journal = Journal.open(service.journal)
    try:
        weights = {host.name: host.weight for host in settings.hosts}
        limits = {host.name: service.memory_limit(host) for host in settings.hosts}
        limit = MemoryLimit(service.memory_overcommit, service.memory_reserve)
        hosts = KnownHosts(weights, service.host_timeout, limits, limit)
        table = access.table if access is not None else None
        requests = OpenRequests(journal, time.time)
        context = Context(requests, hosts, table, slow_at_once=service.imports_at_once)
        if access is not None:
            context.complaint = lambda: access.complaint
        engine = Engine(context, journal, service.retention, frozenset(weights))
        engine.start()
        if access is not None:
            engine.admit(access.table.hosts)
        broker = Broker(engine, context, where=where, bind=service.bind, keys=pair, access=access)
        broker.open()
        try:
            _serve(broker, service.bind, where)
        finally:
            broker.report_rejects()
            broker.close()
            engine.stop()
    finally:
        journal.close()


def _allow_many_connections() -> None:
    """Raise the limit of open files as far as it goes: each connection is one."""
    _other, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _serve(broker: Broker, bind: str, where: config.ClientWorker) -> None:
    def end(number: int, _frame: FrameType | None) -> None:
        logger.info("%s: stopping", signal.Signals(number).name)
        broker.stop()

    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: broker.report_rejects())
    logger.info("serving on %s, ports %d and %d", bind, where.publish_port, where.request_port)
    systemd.notify("READY=1")
    try:
        broker.serve(read_end)
    finally:
        systemd.notify("STOPPING=1")
        signal.set_wakeup_fd(-1)
        os.close(read_end)
        os.close(write_end)


if __name__ == "__main__":
    raise SystemExit(main())
