# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong: one class a fact, each with a code that is stable on the wire.

The text of an error says the act, the object and the cause, and names the host where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence


class MaglicaError(Exception):
    """Base of every error that the library raises on purpose; ``code`` is its name on the wire."""

    code = "error"


class ConfigInvalid(MaglicaError):
    """A configuration file or an option can't be used; the text names file, line and value."""

    code = "config_invalid"


class DependencyMissing(MaglicaError):
    """A Python package or a program that this part needs is not installed."""

    code = "dependency_missing"


class NameInvalid(MaglicaError):
    """A name, address or key that a user gave does not have the form that it must have."""

    code = "name_invalid"


class NameTaken(MaglicaError):
    """A vm, an image or an open request on some host has that name already."""

    code = "name_taken"


class ImageUnknown(MaglicaError):
    """No host has an original image of that name."""

    code = "image_unknown"


class ImageRunning(MaglicaError):
    """The original image is running, so that its disks can't be copied."""

    code = "image_running"


class ImageUnsupported(MaglicaError):
    """The image's definition or disks have something that can't be cloned safely."""

    code = "image_unsupported"


class DiskSizeUnsupported(MaglicaError):
    """A disk can't have that size: it or its guest can't be grown, or it is larger already."""

    code = "disk_size_unsupported"


class HostUnknown(MaglicaError):
    """No host of that name is known."""

    code = "host_unknown"


class HostDown(MaglicaError):
    """The host, its worker or its libvirtd does not answer."""

    code = "host_down"


class NotReady(HostDown):
    """The client worker has a new journal, and has not heard of all hosts what it has to know."""

    code = "not_ready"


class NoRoom(MaglicaError):
    """No host, or not the one named, has the memory, disk space or processors."""

    code = "no_room"


class NetworkUnknown(MaglicaError):
    """The host has no network of that name."""

    code = "network_unknown"


class NetworkUnsupported(MaglicaError):
    """The host's libvirt can't connect an interface so, or has no such network filter."""

    code = "network_unsupported"


class PoolUnknown(MaglicaError):
    """The host has no storage pool of that name that can hold vms' disks."""

    code = "pool_unknown"


class VmUnknown(MaglicaError):
    """No vm of that name is on the host."""

    code = "vm_unknown"


class VmStopped(MaglicaError):
    """The vm does not run, so that what is waited for can't come."""

    code = "vm_stopped"


class VmProtected(MaglicaError):
    """The vm is protected, and what was asked for would destroy data of it, or give it back."""

    code = "vm_protected"

    @classmethod
    def of(cls, act: str, name: str, host: str | None) -> VmProtected:
        """Return the error against an act on the vm ``name``."""
        return cls(
            f"cannot {act} {name} on host {host}: it is protected; protected=false, or maglica vm"
            " set --no-protected, ends that"
        )


class UuidTwice(MaglicaError):
    """Domains of several hosts have one UUID, so that nobody can tell whose the disks are."""

    code = "uuid_twice"

    @classmethod
    def of(cls, name: str, uuid: str, hosts: Sequence[str], act: str = "remove") -> UuidTwice:
        """Return the error against an act, such as its removal, on the vm ``name``."""
        return cls(
            f"cannot {act} {name}: hosts {' and '.join(hosts)} each have a domain with its UUID"
            f" {uuid}, and they may use the same disks; undefine it (virsh undefine) on"
            f" the host where it does not belong, then {act} it"
        )


class GuestUnreadable(MaglicaError):
    """libguestfs finds no operating system, or can't mount its file systems."""

    code = "guest_unreadable"


class GuestUnsupported(MaglicaError):
    """The guest is readable, but its kind of network configuration is not supported."""

    code = "guest_unsupported"


class LibvirtFailed(MaglicaError):
    """libvirtd refused a call; the text has libvirt's own words."""

    code = "libvirt_failed"


class StorageFailed(MaglicaError):
    """A disk could not be copied, made or removed."""

    code = "storage_failed"


class NotOwn(StorageFailed):
    """What is to be removed can't be shown to be Maglica's own, or something refers to it."""

    code = "not_own"


class RequestUnknown(MaglicaError):
    """No request has that id."""

    code = "request_unknown"


class RequestConflict(MaglicaError):
    """A request with that id, but with other content, is there already."""

    code = "request_conflict"


class AgainRefused(MaglicaError):
    """The request can't be tried again: it did not fail, or its secrets are gone."""

    code = "again_refused"


class RequestCancelled(MaglicaError):
    """The request was cancelled before it was done."""

    code = "request_cancelled"


class RequestTimeout(MaglicaError):
    """The request did not end in the time that the caller would wait; it goes on."""

    code = "request_timeout"


class JobDied(MaglicaError):
    """The process that ran a request on its host ended without a result."""

    code = "job_died"


class VersionTooOld(MaglicaError):
    """A worker is of a version that does not know of what is asked for."""

    code = "version_too_old"


class AccessDenied(MaglicaError):
    """The key has no role, or its role does not allow this message."""

    code = "access_denied"


class MessageInvalid(MaglicaError):
    """A message does not have the form that the protocol asks for."""

    code = "message_invalid"


class DownloadFailed(MaglicaError):
    """What is at a web address can't be fetched; the text names the address and the cause."""

    code = "download_failed"


class ChecksumUnknown(MaglicaError):
    """A file of checksums has none for an image's file, or none that can be relied upon."""

    code = "checksum_unknown"


class ChecksumDiffers(MaglicaError):
    """A file is not the one that its checksum is of."""

    code = "checksum_differs"


class JournalFailed(MaglicaError):
    """The journal can't be read or written, for example because the disk is full."""

    code = "journal_failed"


class EntryUnreadable(JournalFailed):
    """One request of the journal can't be read; nothing is wrong with the others."""


class LimitExceeded(MaglicaError):
    """The owner of this key asks for more at once than one key may."""

    code = "limit_exceeded"


class PeerSilent(MaglicaError):
    """The client worker did not answer in time."""

    code = "peer_silent"


CLASSES = (
    MaglicaError,
    ConfigInvalid,
    DependencyMissing,
    NameInvalid,
    NameTaken,
    ImageUnknown,
    ImageRunning,
    ImageUnsupported,
    DiskSizeUnsupported,
    HostUnknown,
    HostDown,
    NotReady,
    NoRoom,
    NetworkUnknown,
    NetworkUnsupported,
    PoolUnknown,
    VmUnknown,
    VmStopped,
    VmProtected,
    UuidTwice,
    GuestUnreadable,
    GuestUnsupported,
    LibvirtFailed,
    StorageFailed,
    NotOwn,
    RequestUnknown,
    RequestConflict,
    AgainRefused,
    RequestCancelled,
    RequestTimeout,
    JobDied,
    VersionTooOld,
    AccessDenied,
    MessageInvalid,
    DownloadFailed,
    ChecksumUnknown,
    ChecksumDiffers,
    JournalFailed,
    LimitExceeded,
    PeerSilent,
)
_BY_CODE = {cls.code: cls for cls in CLASSES}


def from_code(code: str, text: str) -> MaglicaError:
    """Return the error that a peer reported; an unknown ``code`` gives the base class."""
    return _BY_CODE.get(code, MaglicaError)(text)
