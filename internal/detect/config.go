package detect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect/service"
)

// Sensitivity moves the thresholds of a family (section 6.5).
type Sensitivity string

// Sensitivities: low asks for two more decimal orders of surprise and twice
// the floors, high for one order less.
const (
	SensitivityLow    Sensitivity = "low"
	SensitivityMedium Sensitivity = "medium"
	SensitivityHigh   Sensitivity = "high"
)

// Valid reports whether s is one of the three words or empty (inherited).
func (s Sensitivity) Valid() bool {
	return s == "" || s == SensitivityLow || s == SensitivityMedium || s == SensitivityHigh
}

// Family holds the settings of one family of rules. Zero values of Threshold
// and PacketsPerConnection mean the built-in ones.
type Family struct {
	Enabled     bool        `yaml:"enabled"`
	Sensitivity Sensitivity `yaml:"sensitivity"`
	// Floor1h and Floor24h are the fewest connections to alert on in a window.
	Floor1h  int `yaml:"floor1h"`
	Floor24h int `yaml:"floor24h"`
	// MinPeers is the fewest peers of a ManyToOne or OneToMany alert.
	MinPeers int `yaml:"minPeers"`
	// Threshold is the surprise needed; 0 means that of the rule (5 for pairs,
	// 4 for aggregates and floods).
	Threshold float64 `yaml:"threshold"`
	// PriorConnections is the mean number of connections of a new peer in one
	// window, PriorPeers of new peers an hour of an exposed service, and
	// PriorDestinations of new destinations a day, before anything is learnt.
	PriorConnections  float64 `yaml:"priorConnections"`
	PriorPeers        float64 `yaml:"priorPeers"`
	PriorDestinations float64 `yaml:"priorDestinations"`
	// PacketsPerConnection is k_s of section 5; 0 means the table's value.
	PacketsPerConnection float64 `yaml:"packetsPerConnection"`
	// Behavioral lets the family infected alert on behaviour alone.
	Behavioral bool `yaml:"behavioral"`
	// Families names further malware families that the family infected
	// alerts on besides conficker.
	Families []string `yaml:"families"`
}

// Config is the configuration of a detector.
type Config struct {
	Pane        time.Duration
	Lateness    time.Duration
	Sensitivity Sensitivity
	// LearnCold and LearnWarm end phases 0 and 1 of a baseline (section 6.7).
	LearnCold, LearnWarm time.Duration
	// Memory is the ceiling of detector state in bytes, the last resort.
	Memory int64
	// PeersPerResource is the number of peers per direction that a resource
	// keeps exactly; above it adaptive hash sampling (section 3.7).
	PeersPerResource int
	Disabled         []weir.AlertType
	// Services adds ports to the table of services, as proto/port.
	Services map[string][]string
	// Families holds the settings by family name.
	Families map[string]Family
	// Salt keys the upward jitter of thresholds (section 6.5); 0 switches it
	// off, as offline detection does.
	Salt uint64
	// Observe, unless nil, is told each surprise that a pair, aggregate or flood
	// rule works out for a window in which no episode of the same key ran, with the
	// key of the resource: for calibration (section 6.5). It changes no finding, takes no part
	// in snapshots, and is called from the goroutine that calls Close or Flush.
	Observe func(t weir.AlertType, resource uint64, surprise float64)
}

// DefaultConfig returns the defaults of the configuration reference.
func DefaultConfig() Config {
	c := Config{
		Pane: time.Minute, Lateness: 2 * time.Minute, Sensitivity: SensitivityMedium,
		LearnCold: 24 * time.Hour, LearnWarm: 7 * 24 * time.Hour,
		Memory: 1 << 30, PeersPerResource: 65536,
		Families: make(map[string]Family),
	}
	for _, name := range service.Families() {
		f := Family{
			Enabled: true, Floor1h: 30, Floor24h: 100, MinPeers: 5,
			PriorConnections: 2, PriorPeers: 5, PriorDestinations: 2,
		}
		if name == "rdp" || name == "ssh" {
			f.PriorDestinations = 0.01
		}
		c.Families[name] = f
	}
	return c
}

// Validate reports the first setting that makes no sense, by its key.
func (c Config) Validate() error {
	switch {
	case c.Pane < time.Second || (10*time.Minute)%c.Pane != 0:
		return fmt.Errorf("detect.pane: %v does not divide 10 minutes into whole panes of at least a second", c.Pane)
	case c.Lateness < 0 || c.Lateness > 15*time.Minute:
		return fmt.Errorf("detect.lateness: %v is not within 0s and 15m", c.Lateness)
	case !c.Sensitivity.Valid() || c.Sensitivity == "":
		return fmt.Errorf("detect.sensitivity: %q is none of low, medium, high", c.Sensitivity)
	case c.LearnCold < 0 || c.LearnWarm < c.LearnCold:
		return fmt.Errorf("detect.learnWarm: %v is shorter than detect.learnCold, %v", c.LearnWarm, c.LearnCold)
	case c.Memory < 1<<20:
		return fmt.Errorf("detect.memory: %d bytes are less than 1 MiB", c.Memory)
	case c.PeersPerResource < 256:
		return fmt.Errorf("detect.peersPerResource: %d is less than 256", c.PeersPerResource)
	}
	for _, t := range c.Disabled {
		if !t.Valid() {
			return fmt.Errorf("detect.disabled: %q is no alert type", t)
		}
	}
	for name, f := range c.Families {
		if !slices.Contains(service.Families(), name) {
			return fmt.Errorf("detect.%s: no such family; families are %s", name, strings.Join(service.Families(), ", "))
		}
		if err := f.validate(); err != nil {
			return fmt.Errorf("detect.%s.%w", name, err)
		}
	}
	_, err := service.NewTable(c.Services, nil)
	return err
}

func (f Family) validate() error {
	switch {
	case !f.Sensitivity.Valid():
		return fmt.Errorf("sensitivity: %q is none of low, medium, high", f.Sensitivity)
	case f.Floor1h < 1 || f.Floor24h < 1:
		return fmt.Errorf("floor1h and floor24h: at least 1, not %d and %d", f.Floor1h, f.Floor24h)
	case f.MinPeers < 2:
		return fmt.Errorf("minPeers: at least 2, not %d", f.MinPeers)
	case f.Threshold < 0 || f.PacketsPerConnection < 0:
		return fmt.Errorf("threshold and packetsPerConnection: not below 0")
	case f.PriorConnections <= 0 || f.PriorPeers <= 0 || f.PriorDestinations <= 0:
		return fmt.Errorf("priors: above 0")
	}
	return nil
}

// settings is a family as the rules use it, with sensitivity worked in.
type settings struct {
	Family
	m1h, m24h float64 // floors
	add       float64 // added to the surprise needed
}

func (c Config) settings(f service.Family) settings {
	fam, ok := c.Families[service.Families()[f]]
	if !ok {
		fam = DefaultConfig().Families[service.Families()[f]]
	}
	s := settings{Family: fam, m1h: float64(fam.Floor1h), m24h: float64(fam.Floor24h)}
	sens := fam.Sensitivity
	if sens == "" {
		sens = c.Sensitivity
	}
	switch sens {
	case SensitivityLow:
		s.add, s.m1h, s.m24h = 2, 2*s.m1h, 2*s.m24h
	case SensitivityHigh:
		s.add = -1
	}
	return s
}

// floor returns M(W).
func (s *settings) floor(h horizon) float64 {
	if h == day {
		return s.m24h
	}
	return s.m1h
}
