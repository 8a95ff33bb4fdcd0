#!/bin/sh
# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# The command maglica of the checkout, for the cloud that `make cloud` brought up.
checkout=@CHECKOUT@
: "${MAGLICA_CONFIG:=$checkout/build/cloud/maglica.conf}"
export MAGLICA_CONFIG PYTHONPATH="$checkout/plugins/module_utils"
exec "$checkout/build/venv/bin/python" -m maglica.cli "$@"
