// Package engine lays the pipes: it composes the rooms into the offline run
// ([Detect]) and the daemon ([Serve]), which share one pipeline from flows to
// alerts. The pipeline is deterministic: the alerts are a function of the
// multiset of flows, whatever the number of shards and the split into batches.
package engine
