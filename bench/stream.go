package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weir-net/weir/internal/wire/wiretest/workload"
)

// prepare sees to it that the streams lie in the directory, with the digests of
// the reference workload, and returns the digests. A stream that is there is
// hashed again.
func prepare(ctx context.Context, dir string, names []string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the directory of the streams: %w", err)
	}
	if err := survey(dir); err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, ok := workload.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("the workload has no stream %q", name)
		}
		file := streamFile(dir, name)
		got, err := digest(file)
		if errors.Is(err, fs.ErrNotExist) || err == nil && got != s.Want.SHA256 {
			fmt.Printf("building the stream %s: %d flows\n", name, s.Full)
			err = build(s, file)
			got = s.Want.SHA256
		}
		if err != nil {
			return nil, err
		}
		fmt.Printf("stream %-10s  %9d records  %11d bytes  sha256 %s\n", name, s.Want.Records, s.Want.Payload, got)
		digests[name] = got
	}
	return digests, nil
}

func streamFile(dir, name string) string { return filepath.Join(dir, name+".stream") }

// survey holds the counts of the flows once: they take a few seconds.
func survey(dir string) error {
	mark := filepath.Join(dir, "survey")
	want := fmt.Sprintf("%+v\n", workload.Reference())
	if have, err := os.ReadFile(mark); err == nil && string(have) == want {
		return nil
	}
	fmt.Println("counting the flows of the workload")
	if got := workload.Count(5_000_000); got != workload.Reference() {
		return fmt.Errorf("the workload is not the reference: it holds %+v, want %+v", got, workload.Reference())
	}
	if err := os.WriteFile(mark, []byte(want), 0o600); err != nil {
		return fmt.Errorf("note the survey: %w", err)
	}
	return nil
}

// digest returns the SHA-256 of a file.
func digest(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("open a stream: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read a stream: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// build writes a stream. It stands under its name only when it is right.
func build(s workload.Stream, name string) error {
	f, err := os.CreateTemp(filepath.Dir(name), "building-*")
	if err != nil {
		return fmt.Errorf("build the stream %s: %w", s.Name, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone when all went well
	w := bufio.NewWriterSize(f, 1<<20)
	totals, err := s.Write(w, s.Full)
	if err == nil {
		err = w.Flush()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = s.Check(totals)
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("build the stream %s: %w", s.Name, err)
	}
	return nil
}
