#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_image
short_description: Prepare an original image on its hosts ahead of the first clone
version_added: 0.1.0
description:
  - A clone is built upon a base, a prepared copy of one version of its image. The first clone of a
    version makes it, which takes a while; this module has it made before.
  - The original image itself is only read.
  - A host does the same by itself for the images that C(prepare) in its C(maglica.conf) names.
author:
  - Maglica contributors (!UNKNOWN)
extends_documentation_fragment:
  - maglica.cloud.connection
attributes:
  check_mode:
    description: Can run in check mode and tell what would change without changing it.
    support: full
    details:
      - Goes by the hosts' last reports, which may be some seconds old. Otherwise each host looks
        for itself whether there is something to do.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details:
      - Nothing is printed while an asynchronous task runs.
  action:
    description: Has an action plugin, so that some of it runs on the controller.
    support: full
    details:
      - Prints each phase of a request, on standard error, when the module runs on the controller.
options:
  name:
    description:
      - The name of the original image, an inactive domain.
    type: str
    required: true
  state:
    description:
      - V(prepared) has a base of the image's present version on each host. Older ones that no vm
        builds upon are removed.
      - V(released) removes all bases of the image that no vm builds upon. What is known of its
        guest is forgotten, so that the next clone looks again.
    type: str
    choices: [prepared, released]
    default: prepared
  hosts:
    description:
      - The hosts. All hosts that are up and have the image (for O(state=released), also those that
        have a base of one that is gone), when this is empty.
    type: list
    elements: str
    default: []
  wait:
    description:
      - Whether to wait until the work is done. With V(false), the module returns as soon as the
        client worker has the requests.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait for all hosts together. Afterwards the module fails, but the
        requests go on.
    type: int
    default: 1800
seealso:
  - module: maglica.cloud.maglica_image_info
  - module: maglica.cloud.maglica_vm
"""

EXAMPLES = r"""
- name: Have an image ready on all hosts
  maglica.cloud.maglica_image:
    name: debian12.original

- name: Have it ready on one host
  maglica.cloud.maglica_image:
    name: debian12.original
    hosts: [kvm0.example.jp]

- name: Remove what no vm builds upon
  maglica.cloud.maglica_image:
    name: debian12.original
    state: released
"""

RETURN = r"""
hosts:
  description:
    - What was done on each host.
  returned: always, but for errors that stand against the task as a whole
  type: list
  elements: dict
  sample:
    - host: kvm0.example.jp
      changed: true
      request: 0d7d5dbe-6a0b-4d7e-9c07-0f1a4cf5b1c2
      seconds: 18.4
    - host: kvm1.example.jp
      changed: false
      request: 5b0a4b0e-9d0e-4a1c-8f44-3f1b1c1d7a55
      seconds: 0.0
  contains:
    host:
      description: The name of the host.
      type: str
      returned: always
    changed:
      description: Whether something was done there, or would be.
      type: bool
      returned: always
    request:
      description: The id of the request.
      type: str
      returned: not in check mode
    seconds:
      description: How long the work took.
      type: float
      returned: when its request has ended
    failed:
      description: V(true).
      type: bool
      returned: when it failed on that host
    msg:
      description: Why it failed there.
      type: str
      returned: when it failed on that host
    code:
      description: The kind of the error.
      type: str
      returned: when it failed on that host
code:
  description:
    - What kind of error it was, of several the first one's, such as V(image_unknown), V(no_room) or
      V(request_timeout). It does not change with the text in RV(ignore:msg).
  returned: on failure
  type: str
  sample: no_room
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.maglica.cloud.plugins.module_utils._ansible import (
    Progress,
    connection_spec,
    errors_as_failure,
    load_config,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.images import (
    ImageState,
    Place,
    WantedImage,
    bring,
    foresee,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.text import one_line
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.wire.client import Client


def argument_spec() -> dict:
    """Return the options of the module."""
    return {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["prepared", "released"], "default": "prepared"},
        "hosts": {"type": "list", "elements": "str", "default": []},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 1800},
        **connection_spec(),
    }


def run(parameters: dict, check_mode: bool, progress: Progress) -> list[Place]:
    """Do, or in check mode foresee, what the parameters ask for."""
    config = load_config(parameters)
    state = ImageState(parameters["state"])
    wanted = WantedImage(parameters["name"], state, tuple(parameters["hosts"]))
    timeout = parameters["wait_timeout"] if parameters["wait"] else None
    with Client(config, reply_timeout=parameters["client_worker_timeout"]) as client:
        if check_mode:
            return foresee(client, wanted)
        return bring(client, wanted, timeout, progress)


def shown(place: Place) -> dict:
    """Return a host's part of the result."""
    result = {"host": place.host, "changed": place.changed}
    if place.request is not None:
        result["request"] = place.request.id
        if place.request.state.ended:
            result["seconds"] = round(sum(phase.seconds for phase in place.request.phases), 3)
    if place.error is not None:
        result.update(failed=True, msg=one_line(str(place.error)), code=place.error.code)
    return result


def diff(places: list[Place], state: str) -> dict:
    """Return the hosts whose state changes, before and after."""
    changed = [place.host for place in places if place.changed]
    before = "not prepared" if state == "prepared" else "prepared"
    after = "prepared" if state == "prepared" else "not prepared"
    return {"before": dict.fromkeys(changed, before), "after": dict.fromkeys(changed, after)}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    progress = Progress()
    with errors_as_failure(module, dict):
        places = run(module.params, module.check_mode, progress)
    result = {
        "changed": any(place.changed for place in places),
        "hosts": [shown(place) for place in places],
        "diff": diff(places, module.params["state"]),
    }
    failed = [place.error for place in places if place.error]
    if failed:
        module.fail_json(msg=one_line("; ".join(map(str, failed))), code=failed[0].code, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
