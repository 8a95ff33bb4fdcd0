# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The inventory plugin: options, the library's snapshot of the fleet, Ansible's inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: maglica
short_description: Original images and vms of all hosts
version_added: 0.1.0
author:
  - Maglica contributors (!UNKNOWN)
description:
  - Lists what the libvirtd of every host shows, all hosts at the same time, or what the hosts have
    reported to the client worker (O(source)).
  - An I(original image) is a persistent domain that does not run and that Maglica did not make; an
    image that several hosts have is listed once. Every other domain is a I(vm).
  - C(ansible_host) is a running vm's address, where it is known. Where it is not, and SSH would
    take the name for an address or for C(USER@HOST), it is the UUID with V(.invalid), which is
    never there.
  - A host that does not answer within O(host_timeout) is named in a warning and in the variable
    C(maglica_unreachable_hosts) of the group C(all), and costs no more time than that.
  - Nothing is changed on any host, and libvirtd is asked over read-only connections, except for
    V(agent) in O(address_sources).
  - The inventory's file must be named C(maglica.yml), or end with C(.maglica.yml); C(.yaml) will
    do as well.
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
  - maglica.cloud.listing.source
  - maglica.cloud.where
  - maglica.cloud.listing.images
  - maglica.cloud.listing.addresses
options:
  plugin:
    description:
      - Says that the file is for this plugin.
    type: str
    required: true
    choices:
      - maglica.cloud.maglica
  config:
    description:
      - The configuration file C(maglica.conf), which says which hosts there are, where the client
        worker is, and which key to use; a relative path is taken from the folder of the inventory's
        file.
      - Without it, the environment variable E(MAGLICA_CONFIG) names the file. If that is not set
        either, it is V(~/.config/maglica/maglica.conf) (or below E(XDG_CONFIG_HOME), if that is
        set), or else V(/etc/maglica/maglica.conf).
      - It is not read when O(hosts) is given and O(source) is V(libvirt).
    type: str
  key_file:
    description:
      - The file with the secret key by which the client worker knows who asks; a relative path is
        taken from the folder of the inventory's file. Nobody but its owner may have access to it.
        Without it, E(MAGLICA_KEY_FILE) names it, or else the configuration file.
    type: str
  hosts:
    description:
      - The hosts, instead of those in the configuration file; with O(source=client_worker) those
        of them that are listed.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The host's name.
        type: str
        required: true
      uri:
        description:
          - The libvirt URI, with the transport tcp, tls, ssh or unix.
          - The default is V(qemu+ssh://NAME/system).
        type: str
      weight:
        description:
          - The host's share of the work, shown as the variable C(maglica_weight).
        type: float
        default: 1.0
  auth_file:
    description:
      - A file with user names and passwords for hosts that ask for them by SASL, in libvirt's own
        form (see U(https://libvirt.org/auth.html#client-configuration)); a relative path is taken
        from the folder of the inventory's file.
    type: str
  client_worker_timeout:
    description:
      - How many seconds the client worker may take for an answer before it is asked again.
    type: float
    default: 5.0
  include:
    description:
      - What is listed. V(hosts) are the hosts themselves. Of what is not listed no more is read
        than is needed for the rest.
    type: list
    elements: str
    choices:
      - vms
      - images
      - hosts
    default:
      - vms
      - images
  include_filters:
    description:
      - List a domain only if it meets one of these filters.
      - A filter is met when all its conditions are. In a list, one entry must match, as a shell
        pattern, or as a regular expression for the whole text when it starts with V(~); one text
        is a list of one.
      - What is known by name, host, state and UUID alone, and the kind where no definition is
        needed to tell it, is decided before anything else is read, what a definition tells before
        addresses are looked up, and hosts that no filter admits, or that one of
        O(exclude_filters) with nothing but C(host) names, are not asked.
    type: list
    elements: dict
    default: []
    suboptions: &filter
      name:
        description:
          - The domain's name.
        type: list
        elements: str
      host:
        description:
          - The host that the domain is on.
        type: list
        elements: str
      state:
        description:
          - The state, as in the variable C(maglica_state).
        type: list
        elements: str
      uuid:
        description:
          - The domain's UUID.
        type: list
        elements: str
      kind:
        description:
          - V(vm) or V(image).
        type: list
        elements: str
      image:
        description:
          - The original image that a vm was cloned from.
        type: list
        elements: str
      request:
        description:
          - The id of the request that made a vm.
        type: list
        elements: str
      who:
        description:
          - Who asked for a vm.
        type: list
        elements: str
      clone_mode:
        description:
          - V(linked) or V(full).
        type: list
        elements: str
      tag:
        description:
          - One of a vm's tags.
        type: list
        elements: str
      expression:
        description:
          - A Jinja expression on the domain's variables.
          - Of an image each copy is judged by itself, and its variables are those of a vm
            (C(maglica_host), C(maglica_uuid)), C(maglica_size_bytes) and C(maglica_checksum). The
            image is listed with the copies that are wanted.
        type: raw
  exclude_filters:
    description:
      - Do not list a domain that meets one of these filters. See O(include_filters).
    type: list
    elements: dict
    default: []
    suboptions: *filter
  gather:
    description:
      - V(full) reads the definition of each domain, its disks' sizes and its addresses.
      - V(minimal) reads names, UUIDs and states in one call for each host, and looks at a
        definition only where an image can't be told from a vm otherwise, or a filter can't be
        decided. Then C(ansible_host) is not set.
      - With O(source=client_worker) all is there already, and V(minimal) only shows less.
    type: str
    choices:
      - full
      - minimal
    default: full
  xml:
    description:
      - Whether to show each domain's XML as the variable C(maglica_xml), which only
        O(source=libvirt) knows.
    type: bool
    default: false
  connection:
    description:
      - How Ansible connects to the vms.
      - V(ssh) leaves it to Ansible's own settings and sets C(ansible_host).
      - V(community.libvirt.libvirt_qemu) goes through libvirtd and the QEMU guest agent, and needs
        no network in the guest. It gets the host's URI as C(ansible_libvirt_uri), and nothing of
        O(auth_file). The URI must be in the configuration or in O(hosts), whatever O(source) is.
    type: str
    choices:
      - ssh
      - community.libvirt.libvirt_qemu
    default: ssh
  hostnames:
    description:
      - What a domain is called in the inventory, in order of preference. Each is one of the
        domain's variables with or without its prefix, such as V(name), V(address) or V(uuid), or a
        Jinja expression on its variables; the first that is not empty is taken.
      - Vms that would have the same name are called C(NAME@HOST), and a warning says so. So are
        those that would have the name of an image or a host of the inventory. Images that would
        have the same name are called by their own.
      - No domain is called C(localhost), C(127.0.0.1) or C(::1), as Ansible calls the control
        machine, or as a group that is there before it (C(all), those of this plugin and of
        earlier sources); it is then called C(NAME@HOST) too.
      - A name has at most 200 letters, digits and C(_ . + @ -), and begins with a letter, a digit
        or C(_); or it is an IP address. A domain with any other name, which Ansible could take for
        a pattern, a path or an option, is called by its UUID, and a warning says so. One whose name
        ends with C(.yml), C(.yaml) or C(.json), as a file of variables does, is called
        C(NAME@HOST).
      - A domain and a group of
        O(keyed_groups) or of a later source can have the same name, which Ansible does not tell
        apart, so give such groups a prefix.
    type: list
    elements: str
    default:
      - name
  host_timeout:
    description:
      - How many seconds a host may take for all its answers together, with O(source=libvirt).
    type: float
    default: 10.0
  parallel:
    description:
      - How many hosts are asked at the same time, with O(source=libvirt); V(0) means all. With
        fewer than all, each round may take O(host_timeout).
    type: int
    default: 0
  on_host_error:
    description:
      - What happens when a host does not answer; with O(source=client_worker), when it does not
        report, or reports that its libvirtd does not answer.
      - V(warn) lists the others and warns. V(fail) makes the inventory fail.
      - V(last_known) also lists what the host had when it last answered; that is kept by the
        cache plugin (O(cache_plugin)) for as long as it takes, so choose one that writes to disk.
        With other filters or another O(gather), it is not known any more. A host of which nothing
        is known is left out.
      - What was read without some host does not go into the cache (O(cache)), so that the next
        listing asks again.
    type: str
    choices:
      - warn
      - fail
      - last_known
    default: warn
  group_prefix:
    description:
      - What the names of the groups start with.
      - The groups are C(maglica_vms), C(maglica_images), C(maglica_listed_hosts),
        C(maglica_adopted) for vms that others made and Maglica may change (see O(gather)),
        C(maglica_host_HOST) for each host and C(maglica_state_STATE) for each state, with
        characters that are not allowed in a group's name replaced by C(_).
    type: str
    default: maglica_
  variable_prefix:
    description:
      - What the names of the variables start with.
    type: str
    default: maglica_
notes:
  - "Variables of each vm: C(maglica_kind) (V(vm)), C(maglica_name), C(maglica_uuid),
    C(maglica_host), C(maglica_state) (V(running), V(stopped), V(paused), V(stopping), V(crashed),
    V(suspended) or V(unknown)), C(maglica_vcpus), C(maglica_memory_mib),
    C(maglica_interfaces) (a list of C(mac), C(network), C(addresses), C(bridge), C(model),
    C(link), C(filter), C(vlan), C(virtualport)), C(maglica_disks) (a list of C(target), C(device),
    C(format), C(source), C(capacity_bytes), C(allocation_bytes), C(name), C(pool), C(bus),
    C(serial), C(cache), C(discard)), C(maglica_kept_disks) (the names of disks
    that are its own, and not attached), C(maglica_boot_order), C(maglica_graphics) (of one that
    runs a list of C(type), C(listen), C(port), C(tls_port), C(socket)), C(maglica_console) (of one
    that runs C(type), C(path)),
    C(maglica_tags), C(maglica_autostart) (whether its host starts it; V(null) where that is not
    asked for or not known), C(maglica_description), C(maglica_protected), C(maglica_address) and
    C(maglica_ssh_host_keys) (a list of the public SSH host keys that Maglica gave it, each as in
    known_hosts after the host's name), C(maglica_adopted) (whether others made it, and Maglica may
    run and change it) and C(maglica_foreign_disks) (the files of such a vm). For a vm that Maglica
    cloned also C(maglica_image),
    C(maglica_image_version) (two vms with the same have clones of the same disks),
    C(maglica_request), C(maglica_clone_mode), C(maglica_customize) (how it was made a guest of its
    own) and C(maglica_customize_reason) (why so), C(maglica_base) (the base that a linked one
    builds upon), C(maglica_created) and C(maglica_who)."
  - "With O(source=client_worker), C(maglica_report_age_s) of a vm, an image or a host says how many
    seconds ago its host has reported what is listed; of an image it is the highest of its copies'.
    With O(source=libvirt) it is V(null)."
  - "Variables of each image: C(maglica_kind) (V(image)), C(maglica_name), C(maglica_state),
    C(maglica_hosts) (the hosts that have it), C(maglica_copies) (for each of them C(host),
    C(uuid), C(size_bytes), C(checksum)), C(maglica_size_bytes), C(maglica_checksum) (as recorded
    in its definition), C(maglica_dependents) (the vms of the inventory that were cloned from it, a
    list of C(name), C(host), C(clone_mode), C(image_version), C(base)), and C(maglica_vcpus),
    C(maglica_memory_mib), C(maglica_interfaces), C(maglica_disks), C(maglica_tags) as for a vm."
  - "Variables of each host: C(maglica_kind) (V(host)), C(maglica_name), C(maglica_uri),
    C(maglica_weight), C(maglica_reachable), C(maglica_hostname), C(maglica_cpus),
    C(maglica_memory_total_mib), C(maglica_memory_free_mib), C(maglica_libvirt_version),
    C(maglica_hypervisor_version), C(maglica_worker_version) (of its host worker; V(null) with
    O(source=libvirt)), C(maglica_pools) (a list of C(name), C(active), C(capacity_bytes),
    C(free_bytes)), C(maglica_networks), and C(maglica_seconds), which reading it took (V(null) with
    O(source=client_worker))."
  - What the cache has (see O(cache)) is not used after the same user has changed something by
    M(maglica.cloud.maglica_vm), M(maglica.cloud.maglica_vms), M(maglica.cloud.maglica_image) or the
    command C(maglica), nor with C(meta=refresh_inventory) or C(--flush-cache).
  - Several vms that have one address, as behind the NAT of different hosts, are named in a warning;
    so are hosts whose group has one name, such as C(kvm-0) and C(kvm_0).
  - What is not known is V(null). A list is empty when nothing is in it, and with
    O(gather=minimal) also when it was not read (C(maglica_interfaces), C(maglica_disks),
    C(maglica_tags), C(maglica_ssh_host_keys), C(maglica_dependents)).
  - What hosts and guests say is never evaluated by Ansible, be it a template or an expression.
    C(ansible-inventory --list) shows such text as a dictionary of C(__ansible_unsafe) and the text.
  - A domain of which something can't be read is listed with the rest, or left out when its name
    can't be read; a host whose answer can't be understood counts as one that does not answer (see
    O(on_host_error)). A warning names it.
  - What was asked for may be done later where nobody waits for its end, by C(async), C(wait=false),
    C(--no-wait) or Ctrl-C. For ten minutes after that, the cache is not used.
"""

EXAMPLES = r"""
# maglica.yml: the hosts of the user's own maglica.conf, or of the machine's
plugin: maglica.cloud.maglica

---
# Hosts that are named here; one by TLS, one by SSH.
plugin: maglica.cloud.maglica
hosts:
  - name: kvm0.example.jp
    uri: qemu+tls://kvm0.example.jp/system
  - name: kvm1.example.jp
    uri: qemu+ssh://root@kvm1.example.jp/system
    weight: 2

---
# Only running web servers, grouped by the image that they were cloned from.
plugin: maglica.cloud.maglica
config: maglica.conf
include: [vms]
include_filters:
  - name: ["web*.example.jp"]
    state: [running]
exclude_filters:
  - expression: maglica_vcpus > 8
keyed_groups:
  - key: maglica_image
    prefix: image
  - key: maglica_tags
    prefix: tag
groups:
  large: maglica_memory_mib >= 4096
compose:
  ansible_user: "'root'"

---
# A quick overview that is kept for ten minutes, and survives a host that is down.
plugin: maglica.cloud.maglica
config: maglica.conf
gather: minimal
include: [vms, images, hosts]
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/maglica
cache_timeout: 600
on_host_error: last_known

---
# What the hosts have reported, for a user who has an observer's key and no way to any host.
plugin: maglica.cloud.maglica
config: ~/.config/maglica/maglica.conf
source: client_worker
include: [vms]

---
# Guests without a network, reached through libvirtd.
plugin: maglica.cloud.maglica
config: maglica.conf
connection: community.libvirt.libvirt_qemu
hostnames:
  - maglica_name | split('.') | first
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.cache import CachePluginAdjudicator
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.config import (
    chosen,
    config,
    inventory_hosts,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import (
    cache as fleet_cache,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import changes
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import (
    filter as fleet_filter,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import (
    inventory as inventory_entries,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import (
    shown as fleet_shown,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.filter import Filters
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.inventory import (
    InventoryEntry,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.snapshot import Snapshot
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.source import (
    Access,
    Source,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.libvirtd import addresses
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.libvirtd.host_reader import (
    Reading,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.libvirtd.hosts import (
    Gather,
    Known,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.errors import (
    ConfigInvalid,
    HostDown,
    MaglicaError,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.reported import (
    AddressSource,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.text import (
    one_line,
    short,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.vm import Domain
from ansible_collections.maglica.cloud.plugins.plugin_utils import expressions
from ansible_collections.maglica.cloud.plugins.plugin_utils.vaulted import Hidden, plain

SUFFIXES = ("maglica.yml", "maglica.yaml")
QEMU = "community.libvirt.libvirt_qemu"
# What decides what is read of a host: the options by which cached data must differ.
READING = (
    "source",
    "include",
    "include_filters",
    "exclude_filters",
    "variable_prefix",
    "image_pattern",
    "gather",
    "xml",
    "address_sources",
    "address_networks",
    "address_family",
)


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """See DOCUMENTATION."""

    NAME = "maglica.cloud.maglica"

    def verify_file(self, path: str) -> bool:
        """Say whether the file's name is one of this plugin's."""
        name = Path(path).name
        named = any(name == suffix or name.endswith("." + suffix) for suffix in SUFFIXES)
        return named and super().verify_file(path)

    def parse(self, inventory, loader, path, cache=True):
        """Add what the hosts show to ``inventory``; ``cache`` says whether cached data will do."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        self._templating = threading.Lock()
        folder = Path(path).absolute().parent
        try:
            filters = self._filters()
            snapshot = self._snapshot(path, self._access(folder), filters, cache)
            wanted = fleet_shown.only_wanted(snapshot, filters.want)
            self._tell(snapshot)
            self._populate(wanted)
        except (MaglicaError, AnsibleError) as error:
            # Of a cause Ansible shows the text as it is, be it one that a host has sent.
            raise AnsibleParserError(one_line(f"{path}: {error}")) from None

    def _access(self, folder: Path) -> Access:
        source = Source(self.get_option("source"))
        auth_file = self.get_option("auth_file")
        return Access(
            self._config(folder, source),
            source,
            timeout=self.get_option("host_timeout"),
            auth_file=auth_file and _file(folder, auth_file),
            parallel=self.get_option("parallel"),
            reply_timeout=self.get_option("client_worker_timeout"),
        )

    def _config(self, folder: Path, source: Source) -> config.Config:
        """Return the configuration, with the hosts that the inventory itself names, if any."""
        listed = self.get_option("hosts")
        hosts = None if listed is None else tuple(inventory_hosts.hosts(listed))
        if hosts is not None and source.among(hosts=True, client_worker=True) is Source.LIBVIRT:
            return config.Config(folder, hosts=hosts)
        said = {name: self.get_option(name) for name in chosen.VARIABLES}
        for option in ("config", "key_file"):
            if said[option]:
                said[option] = _file(folder, said[option])
        found = chosen.find(said)
        return found if hosts is None else replace(found, hosts=hosts)

    def _filters(self) -> Filters:
        include, exclude = (
            tuple(fleet_filter.rule(plain(each)) for each in self.get_option(option) or ())
            for option in ("include_filters", "exclude_filters")
        )
        for rule in (*include, *exclude):
            if isinstance(rule.expression, Hidden):
                raise ConfigInvalid("a filter's expression can't be vaulted")
            expressions.names_in(rule.expression or "true")
        return Filters(include, exclude, self._evaluate)

    def _evaluate(self, expression: str, domain: Domain, known: Known) -> bool | None:
        shown = self._variables(fleet_shown.alone(domain))
        if known is not Known.ALL:
            names = expressions.names_in(expression)
            if not names <= self._certain(shown, known):
                return None
        # Each host's thread comes here, and a templar is for one thread at a time.
        with self._templating:
            try:
                return bool(self._compose(expression, shown))
            except Exception as error:
                if self.get_option("strict"):
                    raise ConfigInvalid(
                        f"cannot evaluate the filter {expression!r} for {short(domain.name)}:"
                        f" {error}"
                    ) from error
                return False

    def _certain(self, shown: dict[str, Any], known: Known) -> set[str]:
        """Return which of the variables ``shown`` will not change any more."""
        prefix = self.get_option("variable_prefix")
        if known is Known.LISTED:
            return {prefix + key for key in fleet_filter.EARLY_KEYS}
        return shown.keys() - {prefix + key for key in fleet_filter.LATE_KEYS}

    def _snapshot(self, path, access, filters, cache) -> Snapshot:
        asked = [access.chosen().value, repr(access.config.client_worker)]
        hosts = [[host.name, host.uri] for host in access.config.hosts]
        key = f"{self.get_cache_key(path)}_{self._digest([*asked, *hosts])}"
        is_cached = self.get_option("cache")
        if is_cached and cache:
            kept = self._cache.get(key)
            known = fleet_cache.load(kept)
            is_whole = known is not None and not known.unreachable
            if is_whole and kept.get("read", 0) >= changes.last():
                return known
        started = time.time()
        snapshot = self._read(access, filters)
        on_error = self.get_option("on_host_error")
        if on_error == "fail" and snapshot.unreachable:
            missing = (f"host {entry.host}: {entry.text}" for entry in snapshot.unreachable)
            raise HostDown("; ".join(missing))
        if is_cached:
            # Without some host it would be short until it expires, though the host is back. Nor
            # does what was read earlier count any more. No cache plugin forgets a key for good.
            is_whole = not snapshot.unreachable
            kept = {**fleet_cache.dump(snapshot), "read": started} if is_whole else {}
            self._cache[key] = kept
        if on_error == "last_known":
            return self._with_last_known(path, asked, snapshot)
        return snapshot

    def _read(self, access, filters) -> Snapshot:
        include = set(self.get_option("include"))
        gather, wanted = Gather(self.get_option("gather")), filters.wants
        if include <= {inventory_entries.HOSTS}:
            gather, wanted = Gather.MINIMAL, _no_domain
        # Images have no addresses.
        sources = self.get_option("address_sources") if inventory_entries.VMS in include else ()
        reading = Reading(
            gather=gather,
            sources=tuple(map(AddressSource, sources)),
            preference=addresses.Preference(
                addresses.AddressFamily(self.get_option("address_family")),
                tuple(map(addresses.check_network, self.get_option("address_networks"))),
            ),
            wanted=wanted,
            details=inventory_entries.HOSTS in include,
            xml=self.get_option("xml"),
            may_be_image=fleet_filter.image_names(self.get_option("image_pattern")),
        )
        with access.opened() as fleet:
            return fleet.snapshot(reading, filters.may_want_host)

    def _with_last_known(self, path, asked, snapshot: Snapshot) -> Snapshot:
        """Fill in for hosts that did not answer what they had last, and keep what is known now."""
        options = {"_uri": "cache_connection", "_prefix": "cache_prefix"}
        values = {name: self.get_option(option) for name, option in options.items()}
        kept = CachePluginAdjudicator(
            self.get_option("cache_plugin"),
            _timeout=0,
            **{name: value for name, value in values.items() if value is not None},
        )
        missing = {entry.host for entry in snapshot.unreachable}
        for host in snapshot.asked:
            # Each by itself: with another host beside it, it is still known. One of that name in
            # another cloud is not this one.
            digest = self._digest([*asked, [host.name, host.uri]])
            key = f"{self.get_cache_key(path)}_{digest}_last"
            if host.name not in missing:
                kept[key] = fleet_cache.dump(fleet_cache.part(snapshot, host.name))
            elif (known := fleet_cache.load(kept.get(key))) is not None:
                snapshot = fleet_cache.merge(snapshot, known)
        kept.set_cache()
        return snapshot

    def _digest(self, asked) -> str:
        reading = [*asked, *([option, self.get_option(option)] for option in READING)]
        text = json.dumps(reading, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _tell(self, snapshot: Snapshot) -> None:
        known = {domain.host for domain in (*snapshot.vms, *snapshot.images)}
        for missing in snapshot.unreachable:
            is_known = missing.host in known
            what = "is shown as it was last known" if is_known else "is left out"
            self.display.warning(one_line(f"host {missing.host} {what}: {missing.text}"))
        for text in snapshot.problems:
            self.display.warning(one_line(text))
        missing = fleet_shown.unreachable(snapshot.unreachable)
        self.inventory.set_variable("all", "maglica_unreachable_hosts", missing)

    def _populate(self, snapshot: Snapshot) -> None:
        uris = {host.name: host.uri for host in snapshot.asked}
        listed = inventory_entries.entries(snapshot, self.get_option("include"), self._name)
        groups = self._add_groups(listed)
        composed = map(self._sanitize_group_name, self.get_option("groups") or ())
        listed, warnings = inventory_entries.distinct(listed, {*self.inventory.groups, *composed})
        warnings += inventory_entries.shared_groups(groups)
        if self.get_option("connection") != QEMU:
            warnings += inventory_entries.shared_addresses(listed)
        for text in warnings:
            self.display.warning(one_line(text))
        for entry in listed:
            self.inventory.add_host(entry.name)
            for group in entry.groups:
                self.inventory.add_child(groups[group], entry.name)
            variables = {**self._variables(entry.shown), **self._connection(entry, uris)}
            for name, value in variables.items():
                self.inventory.set_variable(entry.name, name, value)
            self._construct(entry.name, variables)

    def _add_groups(self, listed: Iterable[InventoryEntry]) -> dict[str, str]:
        """Return what the groups of the entries, and those of all kinds, are called."""
        prefix = self.get_option("group_prefix")
        groups = {*self.get_option("include"), *(name for entry in listed for name in entry.groups)}
        return {
            group: self.inventory.add_group(self._sanitize_group_name(prefix + group))
            for group in sorted(groups)
        }

    def _construct(self, name: str, variables: dict[str, Any]) -> None:
        strict = self.get_option("strict")
        known = {"inventory_hostname": name, **variables}
        self._set_composite_vars(self.get_option("compose"), known, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), known, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), known, name, strict=strict)

    def _variables(self, shown: dict[str, Any]) -> dict[str, Any]:
        prefix = self.get_option("variable_prefix")
        return {prefix + key: value for key, value in shown.items()}

    def _connection(self, entry: InventoryEntry, uris: dict[str, str | None]) -> dict[str, Any]:
        if entry.domain is None:
            return {}
        is_vm = entry.shown["kind"] == "vm"
        if is_vm and self.get_option("connection") == QEMU:
            uri = uris.get(entry.domain.host)
            if uri is None:
                raise AnsibleParserError(
                    f"the connection {QEMU} needs the libvirt URI of host {entry.domain.host}: name"
                    " it in hosts, or in the configuration"
                )
            return {
                "ansible_connection": QEMU,
                "ansible_libvirt_uri": uri,
                "ansible_host": entry.domain.name,
            }
        if is_vm and entry.domain.address:
            return {"ansible_host": entry.domain.address}
        # No such name is ever there (RFC 6761).
        elsewhere = inventory_entries.leads_elsewhere(entry.name)
        return {"ansible_host": f"{entry.domain.uuid}.invalid"} if elsewhere else {}

    def _name(self, shown: dict[str, Any]) -> str:
        variables = self._variables(shown)
        for wish in self.get_option("hostnames"):
            if wish.isidentifier():
                name = shown.get(wish, variables.get(wish))
            else:
                name = self._composed(wish, variables)
            if name and isinstance(name, str):
                return name
        return shown["name"]

    def _composed(self, expression: str, variables: dict[str, Any]) -> Any:
        try:
            return self._compose(expression, variables)
        except Exception as error:
            if self.get_option("strict"):
                raise AnsibleParserError(f"cannot evaluate {expression!r}: {error}") from error
            return None


def _no_domain(_domain: Domain, _known: Known) -> bool:
    return False


def _file(folder: Path, path: str) -> str:
    """Return a path as it is from the inventory's folder. Raises ConfigInvalid for ~ of nobody."""
    try:
        return str(folder / Path(path).expanduser())
    except RuntimeError:
        raise ConfigInvalid(
            f"cannot tell where {path} is, as the user has no home: set $HOME, or give the whole"
            " path"
        ) from None
