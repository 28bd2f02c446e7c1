package inventory

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	weir "github.com/weir-net/weir"
)

// FuzzParse holds that no inventory panics, that every complaint has a place, and
// that what was read can be asked.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/faults/*", "testdata/cloud/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("resources: &a\n- {id: x, addresses: [203.0.113.1], backends: *a}\nnetworks: *a\n"))
	f.Add([]byte("networks: [{prefix: 0.0.0.0/0}, {prefix: '::/0'}]\nallow: [{prefix: '::/0', reason: x}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, err := Parse("f", data)
		if err != nil {
			joined, ok := err.(interface{ Unwrap() []error })
			all := []error{err}
			if ok {
				all = joined.Unwrap()
			}
			for _, e := range all {
				if p, ok := e.(*Error); !ok || p.Line < 1 || p.Col < 1 || p.Msg == "" { //nolint:errorlint // not wrapped
					t.Fatalf("no place: %v", e)
				}
			}
			return
		}
		o := NewOrienter(inv, nil)
		for _, r := range inv.Resources() {
			if !validKind(r.Kind) || r.ID == "" || r.Name == "" {
				t.Fatalf("%+v", r)
			}
			for _, a := range r.Addresses {
				if got, _ := inv.Lookup(a); got == nil && !inv.Ambiguous(a) {
					t.Fatalf("%s of %s is not found", a, r.ID)
				}
				fl := weir.Flow{Src: netip.AddrPortFrom(a, 1), Dst: netip.MustParseAddrPort("198.51.100.1:2"), Proto: 6, Known: 127}
				o.Contacts(&fl, nil)
			}
		}
	})
}
