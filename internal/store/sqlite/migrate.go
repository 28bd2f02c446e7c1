package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations are applied in order, each once, each in a transaction of its own;
// user_version of the file counts them. An entry is never edited: the next one
// mends it.
func migrations() []string {
	return []string{
		`CREATE TABLE alerts (
			id TEXT PRIMARY KEY,
			type TEXT NOT NULL,
			status TEXT NOT NULL,
			tenant TEXT NOT NULL,
			resource TEXT NOT NULL,
			first INTEGER NOT NULL,
			last INTEGER NOT NULL,
			touched INTEGER NOT NULL,
			closed INTEGER NOT NULL,
			sequence INTEGER NOT NULL,
			version INTEGER NOT NULL,
			place INTEGER NOT NULL UNIQUE,
			body BLOB NOT NULL
		) STRICT, WITHOUT ROWID;
		CREATE INDEX alerts_type ON alerts(type, id);
		CREATE INDEX alerts_status ON alerts(status, id);
		CREATE INDEX alerts_touched ON alerts(touched);
		CREATE TABLE terms (
			kind TEXT NOT NULL,
			term TEXT NOT NULL,
			id TEXT NOT NULL REFERENCES alerts(id) ON DELETE CASCADE,
			PRIMARY KEY (kind, term, id)
		) STRICT, WITHOUT ROWID;
		CREATE INDEX terms_id ON terms(id);
		CREATE TABLE log (
			one INTEGER PRIMARY KEY CHECK (one = 1),
			head INTEGER NOT NULL
		) STRICT;
		INSERT INTO log VALUES (1, 0);`,
	}
}

// migrate brings the file to the newest layout.
func migrate(ctx context.Context, db *sql.DB) error {
	var have int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return fmt.Errorf("read the layout of the store: %w", err)
	}
	all := migrations()
	if have > len(all) {
		return fmt.Errorf("the store has layout %d, this version knows up to %d: use a newer weir", have, len(all))
	}
	for i := have; i < len(all); i++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("migrate the store: %w", err)
		}
		_, err = tx.ExecContext(ctx, all[i])
		if err == nil {
			_, err = tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, i+1))
		}
		if err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("migrate the store to layout %d: %w", i+1, err)
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("migrate the store to layout %d: %w", i+1, err)
		}
	}
	return nil
}
