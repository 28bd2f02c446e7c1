package netflow

// Private enterprise numbers (IANA) with elements that are read.
const (
	penReverse = 29305 // RFC 5103, section 6.1: the reverse direction
	penCERT    = 6871  // CERT/NetSA, the exporter YAF
	yafReverse = 0x4000
)

// slot is one meaning that a template can give. Where several fields of a
// template give the same meaning the one of the lowest rank wins, and of equals
// the first (RFC 7011, section 8: the order of repeated elements has a meaning,
// and the first is the outermost).
type slot uint8

const (
	slotNone slot = iota
	slotSrc4
	slotDst4
	slotSrc6
	slotDst6
	slotSrcPort
	slotDstPort
	slotProto
	slotFlags
	slotFlagsInitial
	slotFlagsUnion
	slotPackets
	slotBytes
	slotRevPackets
	slotRevBytes
	slotRevFlags
	slotRevFlagsInitial
	slotRevFlagsUnion
	slotInput
	slotInputPhysical
	slotOutput
	slotOutputPhysical
	slotVLAN
	slotDot1q
	slotPostDot1q
	slotStart
	slotEnd
	slotSystemInit
	slotDuration
	slotObserved
	slotInterval       // N of 1-in-N
	slotRandomInterval // the same, of a random sampler
	slotCountInterval  // packets taken in a row
	slotCountSpace     // packets skipped in a row
	slotSampleSize     // n of n-out-of-N
	slotPopulation     // N of n-out-of-N
	slotProbability
	slotSelector
	slotICMP4
	slotICMP4Type
	slotICMP4Code
	slotICMP6
	slotICMP6Type
	slotICMP6Code
	slotFragment
	slotForwarding
	slotEvent
	slotBiflow
	slotFrame
	slotDirection
	slotDomain    // scope of options: the observation domain
	slotInterface // scope of options: an interface
	slots
)

// form is how the bytes of a slot are to be read, where the slot leaves a
// choice.
type form uint8

const (
	formPlain   form = iota
	formSeconds      // Unix s
	formMillis       // Unix ms
	formMicros       // NTP timestamp, RFC 7011, section 6.1.9
	formNanos        // NTP timestamp, RFC 7011, section 6.1.10
	formDelta        // µs before the export time
	formUptime       // ms since the exporter came up
	formEther        // an Ethernet frame
	formIP           // a packet from the IP header on
)

// element is one reading of an element.
type element struct {
	slot slot
	rank uint8 // lower wins
	form form
}

// lookup says what an element means here; slotNone for all that is not used.
// Post-NAT and post-middlebox fields (for example 225 to 228) are left out on
// purpose: the ends of a flow are those that the observation point saw.
func lookup(version uint16, id uint16, pen uint32) element {
	switch pen {
	case 0:
		return lookupIANA(version, id)
	case penReverse:
		return lookupReverse(id)
	case penCERT:
		switch id {
		case 14:
			return element{slot: slotFlagsInitial}
		case 15:
			return element{slot: slotFlagsUnion}
		case 14 | yafReverse:
			return element{slot: slotRevFlagsInitial}
		case 15 | yafReverse:
			return element{slot: slotRevFlagsUnion}
		}
	}
	return element{}
}

// lookupReverse reads the elements of the reverse direction of a biflow.
func lookupReverse(id uint16) element {
	switch id {
	case 1:
		return element{slot: slotRevBytes}
	case 85:
		return element{slot: slotRevBytes, rank: 2}
	case 2:
		return element{slot: slotRevPackets}
	case 86:
		return element{slot: slotRevPackets, rank: 2}
	case 6:
		return element{slot: slotRevFlags}
	}
	return element{}
}

// lookupIANA reads the elements of the IANA registry, which holds those of
// NetFlow version 9 below 128, and those of Cisco that version 9 numbers above
// 32767.
//
//nolint:gocyclo,cyclop // one flat table
func lookupIANA(version uint16, id uint16) element {
	switch id {
	// Ends.
	case 8:
		return element{slot: slotSrc4}
	case 12:
		return element{slot: slotDst4}
	case 27:
		return element{slot: slotSrc6}
	case 28:
		return element{slot: slotDst6}
	case 7:
		return element{slot: slotSrcPort}
	case 180, 182: // of UDP, of TCP
		return element{slot: slotSrcPort, rank: 1}
	case 11:
		return element{slot: slotDstPort}
	case 181, 183:
		return element{slot: slotDstPort, rank: 1}
	case 4:
		return element{slot: slotProto}
	case 6:
		return element{slot: slotFlags}

	// Counters: what this record adds (delta) before totals, the initiator's
	// side where nothing else counts, and what left the exporter last.
	case 1:
		return element{slot: slotBytes}
	case 231:
		return element{slot: slotBytes, rank: 1}
	case 85:
		return element{slot: slotBytes, rank: 2}
	case 23:
		return element{slot: slotBytes, rank: 3}
	case 171:
		return element{slot: slotBytes, rank: 4}
	case 2:
		return element{slot: slotPackets}
	case 298:
		return element{slot: slotPackets, rank: 1}
	case 86:
		return element{slot: slotPackets, rank: 2}
	case 24:
		return element{slot: slotPackets, rank: 3}
	case 172:
		return element{slot: slotPackets, rank: 4}
	case 232:
		return element{slot: slotRevBytes, rank: 1}
	case 299:
		return element{slot: slotRevPackets, rank: 1}

	// Where.
	case 10:
		return element{slot: slotInput}
	case 252:
		return element{slot: slotInputPhysical}
	case 14:
		return element{slot: slotOutput}
	case 253:
		return element{slot: slotOutputPhysical}
	case 58:
		return element{slot: slotVLAN}
	case 61:
		return element{slot: slotDirection}
	case 243:
		return element{slot: slotDot1q}
	case 254:
		return element{slot: slotPostDot1q}

	// When, the finest first.
	case 156:
		return element{slot: slotStart, form: formNanos}
	case 154:
		return element{slot: slotStart, rank: 1, form: formMicros}
	case 152:
		return element{slot: slotStart, rank: 2, form: formMillis}
	case 158:
		return element{slot: slotStart, rank: 3, form: formDelta}
	case 22:
		return element{slot: slotStart, rank: 4, form: formUptime}
	case 150:
		return element{slot: slotStart, rank: 5, form: formSeconds}
	case 157:
		return element{slot: slotEnd, form: formNanos}
	case 155:
		return element{slot: slotEnd, rank: 1, form: formMicros}
	case 153:
		return element{slot: slotEnd, rank: 2, form: formMillis}
	case 159:
		return element{slot: slotEnd, rank: 3, form: formDelta}
	case 21:
		return element{slot: slotEnd, rank: 4, form: formUptime}
	case 151:
		return element{slot: slotEnd, rank: 5, form: formSeconds}
	case 160:
		return element{slot: slotSystemInit, form: formMillis}
	case 162:
		return element{slot: slotDuration, form: formMicros}
	case 161:
		return element{slot: slotDuration, rank: 1, form: formMillis}
	case 325:
		return element{slot: slotObserved, form: formNanos}
	case 324:
		return element{slot: slotObserved, rank: 1, form: formMicros}
	case 323:
		return element{slot: slotObserved, rank: 2, form: formMillis}
	case 322:
		return element{slot: slotObserved, rank: 3, form: formSeconds}

	// How sampled: RFC 5477, and the deprecated elements of version 9.
	case 34:
		return element{slot: slotInterval}
	case 50:
		return element{slot: slotRandomInterval}
	case 305:
		return element{slot: slotCountInterval}
	case 306:
		return element{slot: slotCountSpace}
	case 309:
		return element{slot: slotSampleSize}
	case 310:
		return element{slot: slotPopulation}
	case 311:
		return element{slot: slotProbability}
	case 302:
		return element{slot: slotSelector}
	case 48:
		return element{slot: slotSelector, rank: 1}

	// ICMP.
	case 32:
		return element{slot: slotICMP4}
	case 176:
		return element{slot: slotICMP4Type}
	case 177:
		return element{slot: slotICMP4Code}
	case 139:
		return element{slot: slotICMP6}
	case 178:
		return element{slot: slotICMP6Type}
	case 179:
		return element{slot: slotICMP6Code}

	case 88:
		return element{slot: slotFragment}
	case 89:
		return element{slot: slotForwarding}
	case 233:
		return element{slot: slotEvent}
	case 239:
		return element{slot: slotBiflow}
	case 315:
		return element{slot: slotFrame, form: formEther}
	case 104:
		return element{slot: slotFrame, rank: 1, form: formEther}
	case 313:
		return element{slot: slotFrame, rank: 2, form: formIP}
	case 149:
		return element{slot: slotDomain}
	}
	// Event of the first security appliances, before it had an IANA number.
	if version == Version9 && id == 40005 {
		return element{slot: slotEvent, rank: 1}
	}
	return element{}
}

// accepts reports whether a field of this length can be read into the slot.
// Integers may be sent in fewer bytes than their type has (RFC 7011, section
// 6.2), or in more; addresses may not.
func (s slot) accepts(length int) bool {
	switch s {
	case slotNone:
		return false
	case slotSrc4, slotDst4:
		return length == 4
	case slotSrc6, slotDst6:
		return length == 16
	case slotFrame:
		return length > 0
	case slotProbability: // float64, which may be sent as float32
		return length == 4 || length == 8
	}
	return length >= 1 && length <= 8
}
