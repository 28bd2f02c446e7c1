// Package intel knows what the world says about an address: indicators of any form
// of the contract, joined into an immutable [Table] that answers per address.
//
// # What becomes an indicator
//
// Addresses, prefixes and ranges, with a port where the source tells one; URLs whose
// host is an address. Domains, other URLs, hashes and the like are counted and
// skipped. Private and documentation addresses count like others, for feeds of
// one's own name them; a whole special-purpose block (10.0.0.0/8, 127.0.0.0/8,
// 224.0.0.0/4 …), as lists of bogons hold it, does not, nor does anything wider
// than /8 (IPv4) or /16 (IPv6), unless it is benign. Nothing says anything about
// every address.
//
// The category is the one that the indicator tells, else that of the file, else the
// one that the form implies: c2 for Feodo Tracker, malicious for DROP and for STIX
// malicious-activity, benign for MISP warning lists. Address objects of STIX
// outside of an indicator are observations: they count only when the file has a
// category.
//
// # Time
//
// The base score does not change here: detectors let it decay with the time of the
// events. FirstSeen and LastSeen are what the source tells. An indicator that names
// no end gets one: the expiry of the file after its last sighting, or after the time
// of loading when there is none.
package intel
