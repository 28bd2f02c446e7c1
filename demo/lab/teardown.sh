#!/bin/bash
# Removes what a record.sh that was killed left behind: the namespaces named wl-*, the
# processes inside them, and the state directory. Touches nothing else.
set -uo pipefail
STATE=${WEIR_LAB_STATE:-/var/tmp/weir-lab}
. "$(cd "$(dirname "$0")" && pwd)/net.sh"
net_down
rm -rf "$STATE"
