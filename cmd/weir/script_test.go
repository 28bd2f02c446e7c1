package main

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

func exitText(err error) string {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return strconv.Itoa(e.ExitCode())
	}
	return err.Error()
}

func waitForFile(name string) bool {
	for range 400 {
		if st, err := os.Stat(name); err == nil && st.Size() > 0 {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

// addressIn waits for the line "listening" of a JSON log and returns one of its
// addresses.
func addressIn(name, key string) (string, error) {
	for range 400 {
		data, _ := os.ReadFile(name)
		for line := range strings.Lines(string(data)) {
			var l map[string]any
			if json.Unmarshal([]byte(line), &l) != nil || l["msg"] != "listening" {
				continue
			}
			switch v := l[key].(type) {
			case string:
				return v, nil
			case []any:
				return fmt.Sprint(v[0]), nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "", fmt.Errorf("%s tells no %s", name, key)
}

func lines(text string) string { return strconv.Itoa(strings.Count(text, "\n")) }

// playDemo sends the datagrams of the recording, which are the UDP payloads of
// Ethernet and IPv4 packets in a classic pcap of little-endian hosts.
func playDemo(files fs.FS, to string) error {
	f, err := files.Open("captures/attack-v9.pcap.gz")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return packets(z, func(p []byte) error {
		time.Sleep(200 * time.Microsecond)
		_, err := conn.Write(p)
		return err
	})
}

func packets(r io.Reader, fn func([]byte) error) error {
	head := make([]byte, 24)
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	rec := make([]byte, 16)
	for {
		if _, err := io.ReadFull(r, rec); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		p := make([]byte, binary.LittleEndian.Uint32(rec[8:]))
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
		const headers = 14 + 20 + 8
		if err := fn(p[headers:]); err != nil {
			return err
		}
	}
}
