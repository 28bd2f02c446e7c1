#!/bin/bash
# Prints the NetFlow v9 records of a capture, one a line, tab separated, decoded by tshark (a
# decoder that is not Weir's): start and end (Unix seconds), source, port, destination, port,
# protocol, TCP flags, packets, bytes, direction field.
#
#   records.sh FILE.pcap[.gz]
set -euo pipefail
[ $# = 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
timeout 300 tshark -r "$1" -V 2>/dev/null | gawk '
function flush() {
  if (src != "") printf "%.3f\t%.3f\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", boot + st, boot + en, src, sp, dst, dp, proto, fl, pk, by, dir
  src = ""
}
/^ *SysUptime:/      { up = $2 }
/^ *CurrentSecs:/    { boot = $2 - up }
/^ *Flow [0-9]+$/    { flush(); sp = dp = fl = 0; dir = -1 }
/^ *SrcAddr:/        { src = $2 }
/^ *DstAddr:/        { dst = $2 }
/^ *StartTime:/      { st = $2 }
/^ *EndTime:/        { en = $2 }
/^ *Octets:/         { by = $2 }
/^ *Packets:/        { pk = $2 }
/^ *SrcPort:/        { sp = $2 }
/^ *DstPort:/        { dp = $2 }
/^ *Direction:/      { dir = ($2 == "Egress") }
/^ *Protocol:/       { match($0, /\([0-9]+\)/); proto = substr($0, RSTART + 1, RLENGTH - 2) }
/^ *TCP Flags:/      { fl = strtonum(substr($3, 1, 4)) }
/^(Frame|Cisco)/     { flush() }
END                  { flush() }'
