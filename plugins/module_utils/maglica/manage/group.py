# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides which vms are meant when many are: those of a list, so many of a pattern of names, or a
list that is the whole truth about a tag. Pure; plan.py then decides what to do for each of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from ..fleet.snapshot import Found
from ..model import names
from ..model.errors import HostDown, NameInvalid, NameTaken
from ..model.request import Customize, Request
from ..model.vm import Domain
from ..verbs import table
from ..verbs.table import Presence
from ..verbs.tag import TagSpec
from ..verbs.verb import MAX_TAGS
from . import kept
from .wanted import Wanted, want

# As many as a submit_all may hold.
MAX_VMS = 1000
MAX_NUMBER = 99999
_PATTERN = re.compile(r"([^%]*)%(?:0([1-9]))?d([^%]*)")


@dataclass(frozen=True)
class Pattern:
    """Names that differ by a number: C(web%02d.example.jp) has web01 to web99, then web100."""

    text: str
    before: str
    digits: int
    after: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read C(%d), or C(%0Nd) for at least N digits. Raises NameInvalid."""
        found = _PATTERN.fullmatch(text)
        if found is None:
            raise NameInvalid(
                f"{text[:80]!r} is not a pattern of names: it needs one %d for the number, or"
                " %02d for one of at least two digits, and no other %"
            )
        pattern = cls(text, found[1], int(found[2] or 1), found[3])
        names.domain_name(pattern.name(MAX_NUMBER))
        return pattern

    def name(self, number: int) -> str:
        """Return the name with that number. Raises NameInvalid when it is above MAX_NUMBER."""
        if number > MAX_NUMBER:
            raise NameInvalid(f"{self.text}: number {number} is above {MAX_NUMBER}, the last one")
        return f"{self.before}{number:0{self.digits}}{self.after}"

    def number(self, name: str) -> int | None:
        """Return the number of a name, None if it is none of the pattern."""
        if not (name.startswith(self.before) and name.endswith(self.after)):
            return None
        digits = name[len(self.before) : len(name) - len(self.after)]
        longest = max(self.digits, len(str(MAX_NUMBER)))
        if not (digits.isascii() and digits.isdigit() and len(digits) <= longest):
            return None
        number = int(digits)
        return number if number <= MAX_NUMBER and self.name(number) == name else None


@dataclass(frozen=True)
class Group:
    """So many vms of a pattern, each as ``model`` wants it (its names do not count), with a host
    name of ``hostnames``, or else of its name.

    ``exact``: those that are too many are removed. ``count`` does not count when they are to be
    absent: then all of the pattern are.
    """

    pattern: Pattern
    model: Wanted
    count: int = 0
    exact: bool = False
    first: int = 1
    hostnames: Pattern | None = None

    def vm(self, number: int) -> Wanted:
        """Return what is wanted of the vm with that number."""
        hostname = None if self.hostnames is None else self.hostnames.name(number)
        return self.model.named(self.pattern.name(number), hostname)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.pattern.number(name) is not None

    @property
    def said(self) -> Sequence[Wanted]:
        """What is wanted, before anything is known of what there is."""
        return (self.model,)

    def among(
        self, pending: Mapping[str, Request], found: Found, _under_way: Sequence[Request] = ()
    ) -> tuple[Wanted, ...]:
        """Return what is wanted by what there is: see ``among``."""
        return among(self, pending, found)


@dataclass(frozen=True)
class Whole:
    """All vms that shall have ``tag``: those of the list have it, and all others that do go."""

    tag: str
    wanted: Sequence[Wanted]

    def __post_init__(self) -> None:
        try:
            names.tag(self.tag)
        except NameInvalid as error:
            raise NameInvalid(f"prune_tag: {error}") from None
        for wanted in self.wanted:
            if wanted.adopt is False:
                raise NameInvalid(
                    f"prune_tag: vm {wanted.name} can't get the tag, since with adopt=false it has"
                    " none any more: leave it out"
                )

    def __contains__(self, name: object) -> bool:
        """Every vm may have the tag."""
        return isinstance(name, str)

    @property
    def said(self) -> Sequence[Wanted]:
        """What is wanted, before anything is known of what there is."""
        return self.wanted

    def among(
        self, pending: Mapping[str, Request], found: Found, under_way: Sequence[Request] = ()
    ) -> tuple[Wanted, ...]:
        """Return the vms of the list, with the tag, and those that are to be absent, by name.

        Only what Maglica made, or adopted, can have a tag. What is just being made with it counts,
        and so do the tags that the newest request of ``under_way`` gives, the newest first.
        Raises HostDown where a host does not answer: it may have one of them.
        """
        for silent in found.unreachable:
            raise HostDown(
                f"cannot tell which vms have the tag {self.tag}: host {silent.host}: {silent.text}"
            )
        for domain in found.domains:
            if (domain.made or domain.adopted) and not domain.is_image:
                kept.refuse_cut(domain, "tags")
        anew = tuple(_tagged_anew(found.domains, under_way))
        listed = [_tagged(each, self.tag, pending, anew) for each in self.wanted]
        # One that is about to get the tag may still not get it.
        both = zip(found.domains, anew)
        having = [now for now, then in both if self.tag in now.tags and self.tag in then.tags]
        others = self._others(pending, having)
        return (*listed, *(want(name, Presence.ABSENT, host=host) for name, host in others))

    def _others(
        self, pending: Mapping[str, Request], having: Iterable[Domain]
    ) -> list[tuple[str, str | None]]:
        """Return name and host of those that have the tag and are not in the list, by name."""
        listed = {wanted.name: wanted.host for wanted in self.wanted}
        others: dict[str, str | None] = dict.fromkeys(_made_with(self.tag, pending))
        seen: dict[str, str] = {}
        for domain in having:
            if domain.is_image:
                continue
            # Of a name that is listed without a host there may be one only.
            other = seen.get(domain.name) or listed.get(domain.name) or domain.host
            if other != domain.host:
                raise NameTaken(
                    f"several hosts have a vm {domain.name} with the tag {self.tag}:"
                    f" {other} and {domain.host}; remove what does not belong there by"
                    " state=absent and host"
                )
            others[domain.name] = seen[domain.name] = domain.host
        return [(name, others[name]) for name in sorted(others.keys() - listed)]


def _made_with(tag: str, pending: Mapping[str, Request]) -> Iterator[str]:
    for name, request in pending.items():
        spec: Any = request.spec
        if table.of(request).makes_vm and tag in spec.tags:
            yield name


def _tagged_anew(domains: Sequence[Domain], under_way: Sequence[Request]) -> Iterator[Domain]:
    """Yield the domains with the tags that requests are about to give to these very vms."""
    given: dict[str, tuple[str, ...]] = {}
    for request in under_way:
        if isinstance(request.spec, TagSpec):
            given.setdefault(request.spec.uuid, request.spec.tags)
    for domain in domains:
        yield replace(domain, tags=given.get(domain.uuid, domain.tags))


def _tagged(
    wanted: Wanted, tag: str, pending: Mapping[str, Request], domains: Sequence[Domain]
) -> Wanted:
    """Return what is wanted of a vm of the list, with the tag beside those that it shall have, or
    has.
    """
    if wanted.state is Presence.ABSENT:
        return wanted
    tags = wanted.tags
    if tags is None:
        tags = _tags_of(wanted, pending.get(wanted.name), domains)
    tags = tuple(sorted({*tags, tag}))
    if len(tags) > MAX_TAGS:
        raise NameInvalid(f"vm {wanted.name}: with {tag} it has more than {MAX_TAGS} tags")
    return replace(wanted, tags=tags, clone=replace(wanted.clone, tags=tags))


def _tags_of(wanted: Wanted, pending: Request | None, domains: Sequence[Domain]) -> tuple[str, ...]:
    """Return the tags that a vm has, or is just being made with."""
    same = [domain for domain in domains if domain.name == wanted.name]
    of_host = [domain for domain in same if domain.host == wanted.host]
    for domain in of_host or same:
        return domain.tags
    spec: Any = pending.spec if pending is not None else None
    return spec.tags if pending is not None and table.of(pending).makes_vm else ()


def among(group: Group, pending: Mapping[str, Request], found: Found) -> tuple[Wanted, ...]:
    """Return the vms of a group that are wanted, or to be absent, of what was found and what is
    just being made, by name. Raises HostDown, LibvirtFailed, and what ``choose`` raises.
    """
    for silent in found.unreachable:
        raise HostDown(
            f"cannot count the vms {group.pattern.text}: host {silent.host}: {silent.text}"
        )
    for domain in found.domains:
        kept.need_definition(domain)
    made = {domain.name for domain in found.domains if domain.made and not domain.is_image}
    made.update(name for name, request in pending.items() if table.of(request).makes_vm)
    taken = {domain.name for domain in found.domains if domain.is_image or not domain.made}
    return choose(group, made, taken)


def choose(group: Group, made: Collection[str], taken: Collection[str]) -> tuple[Wanted, ...]:
    """Return the vms of a group that are wanted, or to be absent, by number.

    ``made`` are the names of vms that Maglica has made or is making, ``taken`` those of other
    domains. What is there of the pattern counts, the lowest numbers first; what lacks gets the
    lowest numbers that are free. Raises NameInvalid when that is more than one task may have, or
    when all would get the same MAC or IP address.
    """
    there = dict(_numbered(group.pattern, made))
    kept = sorted(there)
    if group.model.state is Presence.ABSENT:
        return tuple(group.vm(number) for number in kept)
    _check_group(group)
    used = {number for number, _name in _numbered(group.pattern, taken)}.union(kept)
    free = (number for number in count(group.first) if number not in used)
    chosen = kept[: group.count]
    chosen += [next(free) for _each in range(group.count - len(chosen))]
    wanted = [group.vm(number) for number in sorted(chosen)]
    if group.exact:
        # The highest numbers go. One of another image, or on another host, is an error as it is of
        # those that stay.
        image, host = group.model.image, group.model.host
        wanted += [
            want(there[number], Presence.ABSENT, image=image, host=host)
            for number in kept[group.count :]
        ]
    return tuple(wanted)


def _check_group(group: Group) -> None:
    if group.count > MAX_VMS:
        raise NameInvalid(
            f"{group.pattern.text}: {group.count} vms are more than {MAX_VMS}, which one task"
            " may have"
        )
    if group.model.clone.customize is not Customize.NONE:
        names.guest_name((group.hostnames or group.pattern).name(MAX_NUMBER))
    for index, nic in enumerate(group.model.clone.interfaces or ()):
        if group.count > 1 and (nic.mac or nic.addresses):
            raise NameInvalid(
                f"interfaces[{index}]: all {group.count} vms {group.pattern.text} would have the"
                f" same {'addresses' if nic.addresses else 'MAC address'}"
            )


def _numbered(pattern: Pattern, of: Collection[str]) -> Iterator[tuple[int, str]]:
    for name in of:
        number = pattern.number(name)
        if number is not None:
            yield number, name


def check(wanted: Sequence[Wanted]) -> None:
    """Check a list as a whole. Raises NameInvalid."""
    if len(wanted) > MAX_VMS:
        raise NameInvalid(f"{len(wanted)} vms are more than {MAX_VMS}, which one task may have")
    for name, times in Counter(each.name for each in wanted).items():
        if times > 1:
            often = "twice" if times == 2 else f"{times} times"
            raise NameInvalid(f"vm {name} is listed {often}")
