package alert

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/weir-net/weir"
)

// snapshot is the JSON form of a Book. Fields may be added.
type snapshot struct {
	Version  int            `json:"version"`
	Horizon  int64          `json:"horizon"`
	Episodes []savedEpisode `json:"episodes"`
}

type savedEpisode struct {
	Alert  weir.Alert    `json:"alert"`
	Told   int64         `json:"told"`
	Pause  time.Duration `json:"pause"`
	Size   float64       `json:"size"`
	Top    string        `json:"top,omitempty"`
	Peers  int           `json:"peers,omitempty"`
	Limits int           `json:"limits,omitempty"`
}

const snapshotVersion = 1

// Snapshot returns the whole state as JSON, the same bytes for the same state.
func (b *Book) Snapshot() ([]byte, error) {
	keys := make([]key, 0, len(b.episodes))
	for k := range b.episodes {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, key.compare)
	s := snapshot{Version: snapshotVersion, Horizon: b.horizon, Episodes: make([]savedEpisode, 0, len(keys))}
	for _, k := range keys {
		s.Episodes = append(s.Episodes, savedEpisode(*b.episodes[k]))
	}
	out, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write the snapshot of episodes: %w", err)
	}
	return out, nil
}

// Restore replaces the state by that of a snapshot. On an error the Book is
// left as it was.
func (b *Book) Restore(data []byte) error {
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("read the snapshot of episodes: %w", err)
	}
	if s.Version != snapshotVersion {
		return fmt.Errorf("read the snapshot of episodes: version %d, expected %d", s.Version, snapshotVersion)
	}
	episodes, open := make(map[key]*episode, len(s.Episodes)), map[owner]int{}
	for i := range s.Episodes {
		e := episode(s.Episodes[i])
		if e.Alert.Resource == nil || !e.Alert.Type.Valid() {
			return fmt.Errorf("read the snapshot of episodes: episode %d has no resource or no known type", i)
		}
		r := e.Alert.Resource
		episodes[key{r.Tenant, r.ID, e.Alert.Type, e.Alert.Key}] = &e
		if !e.Alert.Closed {
			open[owner{r.Tenant, r.ID}]++
		}
	}
	b.episodes, b.open, b.horizon = episodes, open, s.Horizon
	return nil
}
