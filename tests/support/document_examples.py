# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which test runs each block of README and docs, or why none does.

A block is named by its document and by a text that it has; beside it stand the tests, each as
FILE::FUNCTION below tests/, and a sentence in ``Not`` for what no test runs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Not:
    """Why no test runs a block as it is written."""

    because: str


# The document, a text of the block with its fence, and what runs it.
Row = tuple["str | Not", ...]

_UNIT = "unit/docs/test_blocks.py"
_VM = "integration/vm/test_documents.py"
_LISTED = "integration/inventory/test_documents.py"
_LESSON = "integration/vm/test_first_lesson.py::test_the_first_lesson"
_EXISTING = "existing/test_existing_hosts.py"
_BACKUP = "cloud/test_backup.py::test_a_lost_machine_is_restored"
_ROTATION = "integration/test_rotation.py"
_PROTOCOL = "unit/docs/test_protocol_text.py::test_the_example_has_the_real_bytes"

_README: tuple[tuple[str | Not, ...], ...] = (
    ("# make demo", Not("`make test-bare` runs both, on a bare Debian in a container")),
    (
        "$ pip install",
        f"{_UNIT}::test_what_is_installed_is_what_is_built",
        Not("apt and pip are those of the machine; `make bench-deploy` does it on a bare one"),
    ),
    (
        "$ make build",
        f"{_UNIT}::test_what_is_installed_is_what_is_built",
        "integration/test_collection.py::test_every_plugin_is_documented",
    ),
    ("# hosts.yml", f"{_UNIT}::test_the_inventory_says_what_the_roles_read"),
    (
        "-i localhost,",
        "integration/test_one_machine.py"
        "::test_one_machine_is_all_and_bears_the_name_that_it_gives_itself",
        Not("this machine is left as it is; `make bench-deploy` does it on bare ones"),
    ),
    (
        "-i hosts.yml maglica.cloud.deploy",
        "cloud/test_ordinary_users.py"
        "::test_however_it_is_asked_for_the_files_are_the_same_and_their_owners",
    ),
    ("# first.yml", _LESSON),
    ("# ansible-playbook first.yml", _LESSON),
    ("name: golden", f"{_VM}::test_tasks_with_images"),
    ("# maglica.yml", f"{_LISTED}::test_the_graph_of_the_readme"),
    ("--graph", f"{_LISTED}::test_the_graph_of_the_readme"),
    (
        "known_hosts",
        "integration/inventory/test_known_hosts.py"
        "::test_the_keys_are_known_after_one_run_and_the_same_after_two",
    ),
    ('name=vm1.example.jp"\n', f"{_VM}::test_ad_hoc_commands"),
    ("state=prepared", f"{_VM}::test_ad_hoc_commands"),
    ("# web.yml", "integration/vm/test_maglica_vms.py::test_the_playbook_of_the_readme"),
    ("{{ inventory_hostname }}", f"{_VM}::test_plays"),
    ("# lab.yml", f"{_VM}::test_plays"),
    ("user_data: |", f"{_VM}::test_tasks_with_vms"),
    ("name: old_db", f"{_VM}::test_a_guest_is_taken_over_and_changed"),
    ("prune_tag: web", f"{_VM}::test_what_is_not_in_the_list_goes"),
    ("$ maglica vm clone", f"{_VM}::test_commands"),
    ("```ini", f"{_UNIT}::test_the_configuration_without_hosts_asks_the_client_worker"),
)
_DOCS: tuple[Row, ...] = (
    ("coming-from.md", "bridge: br0", f"{_VM}::test_tasks_with_vms"),
    ("coming-from.md", "$ virt-clone", Not("it is what people do without this collection")),
    ("coming-from.md", "$ maglica vm clone", f"{_VM}::test_commands"),
    ("coming-from.md", "exact_count: 3", f"{_VM}::test_tasks_with_vms"),
    ("coming-from.md", "shop-*", f"{_VM}::test_tasks_with_vms"),
    ("coming-from.md", "include: [vms]", f"{_LISTED}::test_an_inventory_without_images"),
    (
        "coming-from.md",
        "image_pattern: ",
        f"{_LISTED}::test_an_inventory_whose_images_have_a_pattern",
    ),
    (
        "commands.md",
        "maglica completion",
        "unit/cli/test_completion.py::test_a_shell_is_told_how_to_complete",
    ),
    ("images.md", "name: debian-13", f"{_VM}::test_tasks_with_images"),
    ("images.md", "hosts: [kvm0", f"{_VM}::test_tasks_with_images"),
    ("images.md", "$ maglica image remove", f"{_VM}::test_commands"),
    (
        "images.md",
        "$ maglica image list",
        f"{_VM}::test_commands",
        "unit/docs/test_images.py::test_tables_are_as_the_command_shows_them",
    ),
    (
        "images.md",
        "$ maglica image inspect",
        f"{_VM}::test_commands",
        "unit/docs/test_images.py::test_tables_are_as_the_command_shows_them",
    ),
    ("images.md", "[image golden]", "unit/docs/test_images.py::test_the_example_is_one"),
    (
        "images.md",
        "<maglica:image",
        f"{_UNIT}::test_the_record_of_an_image_is_read_and_written_so",
    ),
    ("images.md", "virsh metadata", f"{_UNIT}::test_what_is_recorded_by_hand_is_read"),
    (
        "operating.md",
        "-i localhost, -c local maglica.cloud.deploy",
        "integration/test_one_machine.py"
        "::test_one_machine_is_all_and_bears_the_name_that_it_gives_itself",
    ),
    (
        "operating.md",
        "--check --diff",
        f"{_EXISTING}::test_check_mode_says_what_would_be_made_and_changes_nothing",
        f"{_EXISTING}::test_all_of_it_goes_and_comes_again",
    ),
    (
        "operating.md",
        "```console\n$ ansible-playbook -i hosts.yml maglica.cloud.deploy\n",
        f"{_EXISTING}::test_all_of_it_goes_and_comes_again",
    ),
    (
        "operating.md",
        "$ maglica request list",
        f"{_EXISTING}::test_what_a_host_has_of_its_own_stays_as_it_is",
    ),
    (
        "operating.md",
        "```console\n$ ansible-playbook -i hosts.yml maglica.cloud.remove --check\n",
        f"{_EXISTING}::test_all_of_it_goes_and_comes_again",
    ),
    (
        "operating.md",
        "maglica.cloud.rotate_keys --check",
        f"{_ROTATION}::test_check_mode_says_what_would_be_replaced",
        f"{_ROTATION}::test_a_user_gets_a_new_key_wherever_an_earlier_run_was_cut_off",
    ),
    ("operating.md", "maglica.cloud.backup", _BACKUP),
    ("operating.md", "restore_file=", _BACKUP),
    ("operating.md", "revoke_role=client", f"{_ROTATION}::test_a_key_is_taken_away_at_once"),
    (
        "operating.md",
        "cloud.upgrade --check",
        "integration/test_roles.py"
        "::test_an_upgrade_in_check_mode_says_what_runs_and_what_would_come",
        Not("`make bench-upgrade` does it from an earlier version, with 200 requests in flight"),
    ),
    (
        "operating.md",
        "maglica.cloud.status",
        "cloud/test_deploy.py::test_how_the_cloud_is_is_shown_and_nothing_is_changed",
    ),
    (
        "operating.md",
        "$ maglica status",
        "unit/cli/test_status.py::test_a_cloud_with_which_something_is_wrong",
    ),
    ("protocol.md", "(client)", Not("it is a drawing")),
    ("protocol.md", "```text asked", _PROTOCOL),
    ("protocol.md", "```text answered", _PROTOCOL),
    ("protocol.md", "```text published", _PROTOCOL),
    ("security.md", "$ umask", f"{_UNIT}::test_the_key_of_an_observer"),
    (
        "security.md",
        "journalctl",
        "cloud/test_clone.py::test_the_journals_know_which_request_and_host_a_line_is_about",
    ),
)
ROWS: tuple[Row, ...] = (
    *(("README.md", *row) for row in _README),
    *((f"docs/{document}", *row) for document, *row in _DOCS),
)

# What runs the examples in the documentation of each plugin.
PLUGINS = {
    "inventory/maglica": "integration/inventory/test_documentation.py::test_example",
    "modules/maglica_host_info": "integration/modules/test_info.py::test_examples",
    "modules/maglica_image": "unit/modules/test_maglica_image.py::test_the_examples_run",
    "modules/maglica_image_info": "integration/modules/test_info.py::test_examples",
    "modules/maglica_network": "integration/hosting/test_modules.py::test_examples",
    "modules/maglica_pool": "integration/hosting/test_modules.py::test_examples",
    "modules/maglica_vm": "integration/vm/test_maglica_vm.py"
    "::test_the_examples_of_the_documentation",
    "modules/maglica_vm_info": "integration/modules/test_info.py::test_examples",
    "modules/maglica_vms": "integration/vm/test_maglica_vms.py"
    "::test_the_examples_of_the_documentation",
}
