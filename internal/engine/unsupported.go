package engine

import (
	"fmt"

	"github.com/weir-net/weir/internal/engine/config"
)

// Unsupported returns what a valid configuration asks for and this version
// cannot do. A server refuses it rather than leave it undone in silence.
func Unsupported(l *config.Loaded) config.Problems {
	var out config.Problems
	refuse := func(given bool, key, instead string) {
		if !given {
			return
		}
		where := l.Origin(key)
		if where == "default" {
			where = ""
		}
		out = append(out, config.Problem{Where: where, Key: key, Text: "this version of weir cannot do this yet, expected " + instead})
	}
	refuse(len(l.Inputs.Kafka) > 0, "inputs.kafka", "no entries")
	refuse(len(l.Inputs.Watch) > 0, "inputs.watch", "no entries (weir detect reads files)")
	refuse(len(l.Suppressions) > 0, "suppressions", "no entries")
	refuse(l.Store.Type != "sqlite", "store.type", "sqlite")
	refuse(l.Journal.Type != "local", "journal.type", "local")
	refuse(l.Archive.ClickHouse != nil, "archive.clickhouse", "no such key")
	refuse(len(l.Export.Sinks) > 0, "export.sinks", "no entries")
	refuse(l.API.OIDC != nil, "api.oidc", "api.tokens")
	refuse(l.API.TLS != nil && l.API.TLS.ClientCA != "", "api.tls.clientCA", "api.tokens")
	for i, f := range l.Intel.Feeds {
		refuse(f.Source.Remote(), fmt.Sprintf("intel.feeds[%d].source", i), "a path (fetch the feed with a timer and name the file)")
	}
	return out
}
