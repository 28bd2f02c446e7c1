package alert

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/weir-net/weir"
)

// Ticks of the .NET calendar: 100 ns each, counted from 0001-01-01T00:00:00Z.
const (
	// unixEpochTicks is 1970-01-01T00:00:00Z in ticks.
	unixEpochTicks = 621355968000000000
	// maxTicks is 9999-12-31T23:59:59.9999999Z in ticks. Ids begin with
	// maxTicks minus the start, so that they sort newest first. Source: the form
	// of systemAlertId in captured alerts of Microsoft Defender for Cloud.
	maxTicks = 3155378975999999999
	// nsPerTick is the length of a tick in nanoseconds.
	nsPerTick = 100
)

// ID returns the id of the episode of f that starts at start (Unix ns). It is
// `{maxTicks - ticks of the start}_{UUIDv5}`, where the UUID is a function of
// type, resource, key, tenant and the start floored to the hour. The same input
// gives the same id in every process (RFC 9562, section 5.5).
func ID(f *weir.Finding, start int64) string {
	hour := floor(start, int64(time.Hour))
	name := strings.Join([]string{string(f.Type), f.Resource.ID, f.Key, strconv.FormatInt(hour, 10), f.Resource.Tenant}, "|")
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/weir-net/weir/alert"))
	ticks := floor(start, nsPerTick)/nsPerTick + unixEpochTicks
	return fmt.Sprintf("%d_%s", maxTicks-ticks, uuid.NewSHA1(space, []byte(name)))
}

// StartOf returns the start (Unix ns, in steps of 100 ns) that an id tells, and
// false when the text is no alert id.
func StartOf(id string) (int64, bool) {
	head, tail, ok := strings.Cut(id, "_")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(head, 10, 64)
	if err != nil || n < 0 || n > maxTicks {
		return 0, false
	}
	if _, err := uuid.Parse(tail); err != nil {
		return 0, false
	}
	const unixMax = (1<<63 - 1) / nsPerTick
	ticks := maxTicks - n - unixEpochTicks
	if ticks > unixMax || ticks < -unixMax {
		return 0, false
	}
	return ticks * nsPerTick, true
}

// floor rounds t down to a multiple of step, also below zero.
func floor(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return t - r
}

// ceil rounds t up to a multiple of step.
func ceil(t, step int64) int64 {
	f := floor(t, step)
	if f < t {
		return f + step
	}
	return f
}
