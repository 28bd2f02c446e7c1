package packet

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// dataDir returns the directory of the labelled data, or skips.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WEIR_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no labelled data at %s; set WEIR_DATA", dir)
	}
	return dir
}

// TestVectors reads the first packet of every header vector: the outermost
// addresses and, where the outermost packet has them, the ports must be those
// that tshark finds.
func TestVectors(t *testing.T) {
	dir := filepath.Join(dataDir(t), "decoder-vectors-a")
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected struct {
		Vectors map[string]struct {
			Inputs      []string          `json:"inputs"`
			Kind        string            `json:"kind"`
			FirstPacket map[string]string `json:"firstPacket"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(b, &expected); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, v := range expected.Vectors {
		if v.Kind != "packets" {
			continue
		}
		n++
		t.Run(filepath.Base(name), func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join(dir, v.Inputs[0]))
			if err != nil {
				t.Fatal(err)
			}
			dlt, data := firstPacket(t, file)
			link, ok := LinkFromPcap(dlt)
			if !ok {
				t.Fatalf("link type %d", dlt)
			}
			var h Header
			err = Parse(link, data, &h)
			checkVector(t, v.FirstPacket, &h, err)
		})
	}
	if n < 14 {
		t.Errorf("only %d header vectors", n)
	}
}

// firstPacket cuts the first packet out of a little-endian pcap file.
func firstPacket(t *testing.T, file []byte) (dlt uint32, data []byte) {
	t.Helper()
	if len(file) < 40 || binary.LittleEndian.Uint32(file) != 0xa1b2c3d4 {
		t.Fatal("not a little-endian pcap file")
	}
	n := binary.LittleEndian.Uint32(file[32:])
	return binary.LittleEndian.Uint32(file[20:]), file[40 : 40+n]
}

func checkVector(t *testing.T, want map[string]string, h *Header, err error) {
	t.Helper()
	stack := strings.Split(want["protocols"], ":")
	outer, upper := "", ""
	for i, p := range stack {
		if p == "ip" || p == "ipv6" {
			outer, upper = p, stack[i+1]
			break
		}
	}
	first := func(key string) string { return strings.Split(want[key], ",")[0] }
	switch outer {
	case "":
		// tshark does not look into a pseudowire; what is found there must be
		// the packet that the vector is made of.
		if err == nil && (h.Src.String() != "10.31.0.1:11001" || h.Dst.String() != "10.34.0.1:23") {
			t.Errorf("found %v > %v in a pseudowire", h.Src, h.Dst)
		}
		if err != nil && strings.Contains(want["protocols"], "pweth") {
			t.Errorf("pseudowire not read: %v", err)
		}
		return
	case "ip":
		if err != nil || h.Src.Addr().String() != first("ipv4Src") || h.Dst.Addr().String() != first("ipv4Dst") {
			t.Errorf("got %v > %v, %v; want %s > %s", h.Src, h.Dst, err, first("ipv4Src"), first("ipv4Dst"))
		}
	case "ipv6":
		if err != nil || h.Src.Addr().String() != first("ipv6Src") || h.Dst.Addr().String() != first("ipv6Dst") {
			t.Errorf("got %v > %v, %v; want %s > %s", h.Src, h.Dst, err, first("ipv6Src"), first("ipv6Dst"))
		}
	}
	for _, proto := range []string{"tcp", "udp"} {
		if upper != proto {
			continue
		}
		sp, dp := strconv.Itoa(int(h.Src.Port())), strconv.Itoa(int(h.Dst.Port()))
		if !h.HasPorts || sp != want[proto+"SrcPort"] || dp != want[proto+"DstPort"] {
			t.Errorf("got ports %s > %s, want %s > %s", sp, dp, want[proto+"SrcPort"], want[proto+"DstPort"])
		}
	}
}
