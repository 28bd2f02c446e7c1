package intel

import weir "github.com/weir-net/weir"

// Report tells what was read, file by file, in the order of loading.
type Report struct {
	Files []*FileReport `json:"files"`
}

// FileReport tells what became of one file.
type FileReport struct {
	Path   string `json:"path"`
	Source string `json:"source"`
	// Form names the form: list, csv, zeek, stix, misp, warninglist, feodo, drop,
	// threatfox.
	Form       string                `json:"form"`
	Indicators int                   `json:"indicators"`
	Categories map[weir.Category]int `json:"categories"`
	Skipped    Skipped               `json:"skipped"`
	// Fault describes the first malformed entry, with its place.
	Fault string `json:"fault,omitempty"`
	// Expired counts indicators whose end lies before the time of loading. They
	// are kept: detectors judge by the time of the events.
	Expired int `json:"expired,omitempty"`
	// Oldest and Newest are the first and last times of last sighting, Unix ns; 0
	// when the source tells none.
	Oldest int64 `json:"oldest,omitempty"`
	Newest int64 `json:"newest,omitempty"`
}

// Skipped counts the entries of a file that did not become indicators, by cause.
type Skipped struct {
	Domains int `json:"domains,omitempty"`
	URLs    int `json:"urls,omitempty"`
	// Others are hashes, mail addresses, patterns of several observables and the
	// like.
	Others int `json:"others,omitempty"`
	// Observations are address objects that no indicator claims.
	Observations int `json:"observations,omitempty"`
	// Inactive are revoked, deleted, or not meant for detection.
	Inactive int `json:"inactive,omitempty"`
	// TooWide are prefixes that cover too much to mean anything.
	TooWide int `json:"tooWide,omitempty"`
	// Special are addresses and blocks that are nobody's: loopback, multicast, the
	// private blocks as a whole.
	Special       int `json:"special,omitempty"`
	Uncategorised int `json:"uncategorised,omitempty"`
	Duplicates    int `json:"duplicates,omitempty"`
	Malformed     int `json:"malformed,omitempty"`
}

// Total returns the number of entries skipped.
func (s Skipped) Total() int {
	return s.Domains + s.URLs + s.Others + s.Observations + s.Inactive + s.TooWide + s.Special + s.Uncategorised + s.Duplicates + s.Malformed
}
