# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which maglica_vm and maglica_vms say how a vm shall be, and what is waited for."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules extend, by the name maglica.cloud.vm."""

    DOCUMENTATION = r"""
options:
  hostname:
    description:
      - The host name inside the guest, in lower-case letters, digits and hyphens, in labels that
        are separated by dots, at most 64 characters. A DHCP server is told the same.
      - Without it the guest has the vm's name. Where that is no host name, as C(Web_1), this is
        needed, but for O(customize=none), where the guest is told no name.
      - Only used when the vm is made.
    type: str
  image:
    description:
      - The name of the original image from which the vm is made if it is not there. That is one
        which M(maglica.cloud.maglica_image) has made, or any domain that is off and that Maglica
        did not make.
      - A vm of that name that was made from another image is an error.
      - Not needed when the vm is there.
    type: str
  state:
    description:
      - V(present) makes the vm and starts it if it is not there, else leaves it on or off.
      - Options that are only used when the vm is made change nothing of one that is there. A
        warning names those that say something else than what it was made with, and, since nobody
        can tell, each password and O(user_data).
      - V(running) makes it if it is not there, and starts it if it is off. One that is paused
        goes on, one that is suspended is woken, one that has crashed is ended and started again.
      - V(paused) has the guest stand still, in memory. It makes the vm if it is not there, and
        starts it if it is off, without letting its guest run. One that is suspended is woken first,
        one that has crashed is ended and started so. Nobody waits for its address.
      - V(stopped) makes it if it is not there, without starting it. A running vm is shut down. One
        that is paused or suspended goes on first, so that it can shut down; one that has crashed is
        ended at once.
      - V(restarted) shuts a running vm down and starts it again by one request, with the size that
        it was given meanwhile or in the same task. That is always a change. One that is off is
        started, one that is not there is made. One that is paused, suspended or crashed is treated
        as by V(stopped).
      - V(absent) removes the vm, running or not, with its disks and all that belongs to it; one
        that was adopted only with O(remove_foreign_disks=true). A request that is just making it is
        cancelled. One that is O(protected) is an error (V(vm_protected)), also in check mode. While
        two hosts have a domain of its UUID it is an error (V(uuid_twice)), and nothing is removed.
    type: str
    choices: [present, running, paused, stopped, restarted, absent]
    default: present
  host:
    description:
      - The host on which the vm is made. Without it the client worker chooses the one with the
        lowest load for its weight, of those that have the image and room. The load is the memory of
        all running vms, and of those made by Maglica that are off, so that they are spread as well.
      - Room is memory that is not committed, and disk space. What is committed is the memory of all
        that runs on a host or is about to, by the definitions, however much of it is used. How much
        may be, says C(memory_overcommit) in the client worker's configuration. Nor is a vm that is
        off started where there is no room (V(no_room)).
      - A vm that is on another host is an error. Vms are not moved.
    type: str
  clone_mode:
    description:
      - V(linked) makes disks that are overlays of a base, a prepared copy of the image that the
        host keeps.
      - V(full) makes disks that depend on nothing.
      - A vm is made linked without it, and one that is there stays as it is.
      - A linked vm that is there is made independent of its base with V(full), whether it runs or
        not. A full one stays so with V(linked), and a warning says that.
    type: str
    choices: [linked, full]
  pool:
    description:
      - The storage pool for the vm's disks. Without it the one with most room is used,
        and of several with as much V(default).
      - Only used when the vm is made.
    type: str
  vcpus:
    description:
      - The number of virtual CPUs. Without it a vm is made with as many as the image has.
      - More than the host has is an error (V(no_room)).
      - A running vm gets another number at once where its definition allows as many (C(maxvcpus) in
        libvirt's words) and its guest can plug them in or out. Otherwise it has it from its next
        start on, and C(restart_needed) says so; see O(allow_restart).
      - A definition that allows more CPUs than the vm has goes on to allow them. A number beyond
        that is what it allows from then on.
    type: int
  memory:
    description:
      - The memory, in MiB, or with the unit C(MiB), C(GiB) or C(TiB), such as V(2GiB). Without it a
        vm is made with as much as the image has.
      - C(GB) is an error, as in O(disk_size), since it may mean two sizes.
      - A running vm gets another size at once up to the most that its definition allows, or that it
        was started with, if its guest obeys the memory balloon, as any Linux does. Otherwise it has
        it from its next start on, and C(restart_needed) says so; see O(allow_restart).
      - What the definition allows beyond that is kept as with O(vcpus). A host counts a vm with the
        most that it may have.
    type: str
  disk_size:
    description:
      - The size of the vm's first disk, in MiB, or with the unit C(MiB), C(GiB) or C(TiB), such as
        V(20GiB). Without it the disk is as large as the image's.
      - The partition with the guest's root file system fills the disk from the start, and the file
        system fills the partition from the first boot on. That takes ext4, xfs or btrfs on the last
        partition, or straight on the disk, C(systemd-growfs) in the guest and a line for C(/) in
        its C(/etc/fstab), or cloud-init with its module C(resizefs). Any other guest, and a size
        below the image's, is an error (V(disk_size_unsupported)) before anything is made of the vm.
      - A larger disk takes no more room until the guest fills it. One larger than the whole storage
        pool is an error (V(no_room)).
      - The first disk of a vm that is there grows to it, as one of O(disks) does. One that is
        larger is an error.
    type: str
  disks:
    description:
      - Disks that the vm has beside those that it was made with, each with a name that stays,
        whatever its place among the others is. Those that are not named here stay as they are.
      - A new vm has them from its first boot on, so that its cloud-init can lay them out. One that
        runs gets them at once, where its machine has a free slot. What can't be done while it runs,
        such as any disk of SATA, is an error, or done by a restart where O(allow_restart) allows
        one.
      - Of a disk that is there only the size changes. An error says what else is asked for
        otherwise; detach the disk, keep it, and add it again with that.
      - They are the vm's own, and removed with it.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The disk's name, 1 to 20 letters, digits, C(_) and C(-). The guest has it below
            C(/dev/disk/by-id), as C(virtio-NAME) or C(scsi-0QEMU_QEMU_HARDDISK_NAME), where
            O(disks[].serial) says nothing else.
          - A disk that the vm was made with has its target for a name, such as V(vda). It can only
            grow.
        type: str
        required: true
      state:
        description:
          - V(present) adds a blank disk if there is none, or attaches one that was kept.
          - V(absent) detaches it, from a guest that runs if that lets it go, and removes it with
            all that is on it, unless O(disks[].keep) says otherwise. What else refers to it is an
            error before anything is done.
        type: str
        choices: [present, absent]
        default: present
      size:
        description:
          - The size in MiB, or with the unit C(MiB), C(GiB) or C(TiB), such as V(20GiB). Needed for
            a new disk.
          - A disk that is smaller grows, and the guest of a vm that runs sees it at once. Its
            partitions and file systems are the guest's. Those of the first disk grow at the next
            boot where its cloud-init does so (C(growpart)).
          - A disk that is larger is an error (V(disk_size_unsupported)).
        type: str
      pool:
        description:
          - The storage pool. Without it that of a new vm's other disks, or the one with most room.
        type: str
      bus:
        description:
          - How the guest sees it. A new disk has V(virtio) without it. V(scsi) is virtio-scsi,
            V(sata) is for guests without virtio.
        type: str
        choices: [virtio, scsi, sata]
      cache:
        description: How the host caches it, in QEMU's words. Without it QEMU chooses.
        type: str
        choices: [none, writeback, writethrough, directsync, unsafe]
      discard:
        description: Whether what the guest discards is given back. Without it QEMU chooses.
        type: str
        choices: [unmap, ignore]
      serial:
        description: What the guest finds it by. Without it that is O(disks[].name).
        type: str
      keep:
        description:
          - With O(disks[].state=absent), only detach it. It can be attached again by its name, with
            what is on it, and is not removed with the vm.
          - With O(state=absent) a disk that is still attached is an error, since the vm would take
            it along. Detach it by a task before.
          - A kept disk is removed by V(absent) without this.
        type: bool
        default: false
  cdrom:
    description:
      - The ISO image in the vm's drive for CDs, O(cdrom.path) or O(cdrom.pool) and O(cdrom.volume).
        It is only read, and never removed. The medium that tells the vm's cloud-init who it is is
        in a drive of its own, which is left alone.
      - What is no ISO image, a file that not everybody on the host may read, and a medium of
        another vm are errors.
      - A vm without a drive gets one. If it runs, that is an error, or done by a restart where
        O(allow_restart) allows one.
      - Without it the drive stays as it is, or as the image's.
    type: dict
    suboptions:
      path:
        description: Its absolute path on the vm's host.
        type: str
      pool:
        description: The storage pool that has it as a volume.
        type: str
      volume:
        description: Its name in O(cdrom.pool).
        type: str
      state:
        description: V(absent) takes out what is in the drive, whatever it is.
        type: str
        choices: [present, absent]
        default: present
  boot_order:
    description:
      - From what the vm boots, the first that can be booted from, V(disk) its first disk. It holds
        from the next start on, and in the place of what the definition says of single devices.
      - Without it that stays as it is, or as the image's.
    type: list
    elements: str
    choices: [disk, cdrom, network]
  interfaces:
    description:
      - The network interfaces of the vm. Without it a new vm has those of the image, with MAC
        addresses of its own, and uses DHCP; one that is there keeps those that it has.
      - Of a vm that is there an entry is the interface that has its O(interfaces[].mac). The other
        entries are, in their order, those of its interfaces that no entry names so, and then
        further ones, which are added. What an entry does not say stays as it is, and so does an
        interface that is not spoken of. So the task that has made a vm changes nothing of it, and
        an interface is added by one more entry at the end.
      - A vm that runs has at once what libvirt and its guest can change, and the rest from its next
        start on; C(restart_needed) says so then, see O(allow_restart). MAC address and model of
        an interface never change while it runs.
      - Of a vm that is there nothing is changed inside the guest, nor is its cloud-init told of it.
        A card that is added is a new one to the guest; where it has no configuration for such a
        card, write one in the guest, by the card's MAC address. Addresses, gateways, name servers
        and domains are used when the vm is made only.
      - An interface of a new vm keeps the device, the bandwidth, the network filter and the
        isolation of the image's interface at the same place, whatever it is connected to. One that
        the image has not has no filter.
      - A filter gets the addresses of O(interfaces[].addresses) in place of the image's. Without
        them libvirt learns the IPv4 address; a filter that can't learn it, or that is for an IPv6
        address, is an error then.
      - VLAN tags and virtual ports belong to the image's own connection. An interface that names
        another network or bridge has those which that network defines, or none; one that names the
        same, or none, keeps them. So it is when an interface of a vm that is there is connected to
        another one.
    type: list
    elements: dict
    aliases: [networks]
    suboptions:
      network:
        description: A libvirt network. Not together with O(interfaces[].bridge).
        type: str
      bridge:
        description:
          - A bridge of the host.
          - Without this and O(interfaces[].network) an interface of a new vm is connected as that
            of the image at the same place, and one that is there stays as it is. One that is added
            needs one of the two.
        type: str
      mac:
        description:
          - The MAC address. Without it one is made up that no other domain of the host has.
          - That of another domain of the host, running or not, is an error (V(name_taken)).
        type: str
      state:
        description:
          - V(absent) takes the interface away that has the O(interfaces[].mac), which is needed
            then. One that its guest does not let go of is gone from its next start on.
        type: str
        choices: [present, absent]
        default: present
      model:
        description:
          - The card that the guest sees. Without it that of the image's interface, or V(virtio) for
            one that is added.
        type: str
        choices: [virtio, e1000, e1000e, rtl8139, vmxnet3]
      link:
        description: Whether the card's cable is plugged in.
        type: str
        choices: [up, down]
      filter:
        description: Libvirt's network filter, without parameters. An empty one is none.
        type: str
      vlan:
        description:
          - The tag of the VLAN that the guest is on, from 1 to 4094. Several make a trunk, an empty
            list is no tag.
          - That takes an Open vSwitch (O(interfaces[].virtualport=openvswitch)), or on the host
            libvirt 11.0, whose plain bridges filter VLANs. Otherwise it is an error
            (V(network_unsupported)) before anything is done, also in check mode.
        type: list
        elements: int
      virtualport:
        description: The kind of the switch that O(interfaces[].bridge) or the network is.
        type: str
        choices: [openvswitch]
      addresses:
        description: IPv4 and IPv6 addresses with their prefix length. Without them DHCP is used.
        type: list
        elements: str
        default: []
      gateways:
        description: The default gateways, at most one for each of IPv4 and IPv6.
        type: list
        elements: str
        default: []
      nameservers:
        description: The addresses of name servers.
        type: list
        elements: str
        default: []
      search:
        description: The domains in which names are looked up.
        type: list
        elements: str
        default: []
  customize:
    description:
      - How the vm becomes a guest of its own, with its own name, network, keys and machine
        identity. The vm in the result says in which way it was done, and why.
      - V(cloud-init) gives the guest's cloud-init what it needs on a small cdrom, which stays with
        the vm like a disk of it. It serves any layout of the disks (LVM, btrfs, LUKS), since
        nothing is written into them. An image whose cloud-init would not obey is an error
        (V(guest_unsupported)).
      - V(offline) writes into the vm's disks before it starts. That takes an image which Maglica
        knows; its cloud-init, if there is one, is told to leave that alone.
      - V(none) gives the vm disks, MAC addresses and a UUID of its own and changes nothing inside,
        for any system at all. The image itself must have nothing that two guests can't share,
        as Windows after C(sysprep). O(hostname), O(user), O(user_data),
        O(ssh_authorized_keys), O(root_password) and O(interfaces[].addresses) are errors then.
        O(disk_size) makes the disk larger, and no partition of it.
      - V(auto) is V(cloud-init) where the image has it, enabled, with NoCloud among its
        datasources; else V(offline) where Maglica knows the image; else an error
        (V(guest_unsupported)). M(maglica.cloud.maglica_image_info) tells which it will be.
      - Only used when the vm is made.
    type: str
    choices: [auto, cloud-init, offline, none]
    default: auto
  user:
    description:
      - A user of the guest, made if it is not there yet.
      - Only used when the vm is made.
    type: dict
    suboptions:
      name:
        description:
          - The user's name. Without it the user is the image's own one where O(customize) is
            V(cloud-init) (C(debian), C(ubuntu), C(rocky) …), and root where it is V(offline).
          - By cloud-init the image's own user is made in any case, beside one of another name.
          - With V(root), O(ssh_authorized_keys) and O(root_password) are errors. With V(cloud-init)
            O(user.groups) and O(user.shell) are as well, since it changes them of no user that is
            there already.
        type: str
      groups:
        description: The groups that the user is in beside its own one.
        type: list
        elements: str
        default: []
      sudo:
        description:
          - What the user may do by sudo, a rule as in C(sudoers) without the user, such as
            V(ALL=(ALL\) NOPASSWD:ALL).
          - Without it that of the image's own user stays as it is.
        type: str
      shell:
        description: The path of the login shell. Without it the guest's system chooses.
        type: str
      ssh_authorized_keys:
        description: Public SSH keys that may log in as this user, as O(ssh_authorized_keys).
        type: list
        elements: str
        default: []
      password:
        description:
          - The hash of the password, as O(root_password). With cloud-init it is for the console;
            whether SSH takes passwords, O(user_data) says (C(ssh_pwauth)).
        type: str
  user_data:
    description:
      - What cloud-init does in the guest beyond that, in any form that it takes in C(user-data) and
        Maglica can check. That is C(#cloud-config), a script with C(#!), C(#cloud-boothook), a
        template of Jinja, or several of them as a MIME message, of at most 64 KiB, and 512 KiB for
        all vms of a task.
      - A mapping becomes such a text with
        C("#cloud-config\n{{ mapping | to_json }}").
      - It comes beside what Maglica itself says, and its lists are joined with those of Maglica.
        What would undo that (C(hostname), C(ssh_keys), C(network) and the like) is an error before
        anything is done, and so is what cloud-init would not read.
      - An error where another way than V(cloud-init) is asked for, or chosen.
      - Nobody but the vm's host gets to see it, and no log and no diff has it. Root of the guest
        can read it there.
      - Only used when the vm is made.
    type: str
  ssh_authorized_keys:
    description:
      - Public SSH keys that may log in as root, each a line of the form C(type base64 comment).
        Cloud-init locks root's password then, unless O(root_password) gives one.
      - Only used when the vm is made.
    type: list
    elements: str
    default: []
  root_password:
    description:
      - The hash of root's password, such as the filter P(ansible.builtin.password_hash#filter)
        makes it. A password in clear is refused.
      - Only used when the vm is made.
    type: str
  tags:
    description:
      - The tags of the vm, all of them; an empty list takes them away. Without this the vm keeps
        those that it has.
      - A tag has at most 63 letters, digits and characters of C(_.:=+@/-), the first of them a
        letter, a digit or C(_). A running vm gets them at once.
      - The inventory plugin shows them as C(maglica_tags).
    type: list
    elements: str
  autostart:
    description:
      - Whether the host starts the vm when it starts itself. Without this a vm that is there stays
        as it is, and a new one is not started so.
    type: bool
  description:
    description:
      - What the vm is for, as C(virsh desc) shows it; several lines of at most 2000 characters.
        Empty, it takes the description away.
      - Without this a vm that is there stays as it is, and a new one has the image's.
    type: str
  protected:
    description:
      - Whether the vm is protected. Then whatever would destroy data of it, above all its removal,
        is an error (V(vm_protected)) in check mode, and its host itself refuses it, whoever asks.
        To be removed, given back, or to lose a disk, it must be unprotected first, by a task of its
        own.
      - So is what would take its protection away by the way, O(adopt=false). It may be stopped and
        changed all the same, and its disks may be detached and kept.
      - Without this a vm that is there stays as it is, and a new one is not protected.
    type: bool
  force:
    description:
      - With O(state=stopped), O(state=restarted) or O(allow_restart=true), end a vm that did not
        shut down within O(stop_timeout), as if its power plug was pulled.
    type: bool
    default: false
  allow_restart:
    description:
      - Whether a vm that runs may be shut down and started again for what it can't have while it
        runs. That is also done for what an earlier task has left for the next start.
      - It is shut down as with O(state=restarted), by O(force) after O(stop_timeout). A vm that
        needs no restart is not restarted.
      - One that is paused or suspended would run afterwards, so that it is restarted with
        O(state=running) only; otherwise C(restart_needed) says what waits for its next start.
      - A vm that does not start as it was changed is an error, and runs again as it was before.
    type: bool
    default: false
  stop_timeout:
    description:
      - How many seconds the guest may take to shut down. With V(0) and O(force=true) the vm is
        ended at once.
    type: int
    default: 120
  adopt:
    description:
      - V(true) takes over a vm that is there and that others made. Metadata of Maglica's is written
        into its definition, and nothing else of it is changed. From then on it is run, resized and
        tagged like a vm that Maglica made. It is listed as adopted, in the inventory's group
        C(maglica_adopted), and its disks stay those of others. A vm that Maglica made, or has
        adopted before, stays as it is.
      - V(false) gives it back as it is, without that metadata and its tags, and does nothing else.
        One that is O(protected) is an error (V(vm_protected)).
      - A domain that is off and that others made is an original image. Once adopted it is none any
        more, so that nothing is cloned from it until it is given back. Vms that were cloned from it
        stay as they are, since they depend on none of its disks.
      - It is an error for a vm that is not there, for an image that Maglica made, for a transient
        domain and one with a saved state, while two hosts have a domain of its UUID
        (V(uuid_twice)), where a file builds upon one of its disks, which would break when it runs,
        and on a host whose worker is told to allow no adoption (C(host_worker_adopt) of the role).
      - Not together with O(image), nor V(true) with O(state=absent).
    type: bool
  remove_foreign_disks:
    description:
      - Whether O(state=absent) removes a vm that was adopted, with its files. Without it that is an
        error (V(not_own)).
      - The files are those that its definition names, its disks that are written to and its UEFI
        variables. Check mode names each of them. Those to which something else on its host refers
        stay, be it another domain, a snapshot or a file that builds upon them, and so do links,
        devices, images in Ceph and the like, files on shared folders, and what a disk itself builds
        upon.
      - It means nothing for a vm that Maglica made.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the work is done. With V(false), the module returns as soon as the
        client worker has what is asked for.
      - A request that is under way and does what is asked for is joined, whoever made it. One that
        starts, stops, restarts or removes the vm is first waited for. With V(false) what is asked
        for is done after it.
    type: bool
    default: true
  wait_for:
    description:
      - What to wait for when the vm is to run.
      - V(cloned) waits until its host says that the request is done.
      - V(running) waits until libvirt shows it as running, too.
      - V(address) waits until it also has an address. By DHCP that may be the lease from before a
        restart. A fixed one has to answer, which it does when the host's ARP table has it, or when
        its port 22, as seen from where the module runs, is open or refused.
      - V(ssh) waits until an SSH server answers at its address, as seen from where the module runs.
      - With V(address) and V(ssh), a vm that is off and that O(state) does not start is an error
        (V(vm_stopped)) before anything is done. With O(state=stopped) nothing is waited for.
    type: str
    choices: [cloned, running, address, ssh]
    default: running
  wait_timeout:
    description:
      - How many seconds to wait for all of that, for all vms of the task together. Afterwards the
        module fails, but what was asked for goes on, and the same task joins it when it is run
        again.
    type: int
    default: 1800
"""
