package inventory

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	weir "github.com/weir-net/weir"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", path, diff)
	}
}

// TestFaults holds the words and places of every complaint.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var all strings.Builder
	for _, f := range files {
		inv, err := Load([]string{f})
		if err == nil {
			t.Errorf("%s: no error, %d resources", f, len(inv.Resources()))
			continue
		}
		if !strings.HasPrefix(err.Error(), filepath.ToSlash(f)+":") {
			t.Errorf("%s: the message does not begin with the place: %v", f, err)
		}
		all.WriteString(strings.ReplaceAll(err.Error(), "testdata/faults/", "") + "\n")
	}
	golden(t, "faults.golden", all.String())
}

// TestContractExample reads the example of the contract, section 5.
func TestContractExample(t *testing.T) {
	inv := mustParse(t, `
resources:
  - id: web-1                        # unique; an Azure resource ID when there is one
    name: web-1
    kind: virtual-machine            # virtual-machine | load-balancer | application-gateway
    addresses: [203.0.113.10, "2001:db8::10"]   # public addresses
    privateAddresses: [10.0.0.4]
    listeners: [{port: 22, service: ssh}, {port: 443}]   # optional
    roles: [bastion]                 # optional
    tags: {env: prod}
    since: 2026-01-01T00:00:00Z
  - id: lb-1
    kind: load-balancer
    addresses: [203.0.113.20]
    backends:
      - {resource: web-1, frontendPort: 22, backendPort: 22}
      - {resource: web-2}
networks:
  - {prefix: 198.51.100.0/24, kind: virtual-machine, tenant: lab}
allow:
  - {prefix: 192.0.2.7/32, reason: "our vulnerability scanner", until: 2027-01-01T00:00:00Z}
`)
	addr := netip.MustParseAddr
	want := []*weir.Resource{
		{
			ID: "lb-1", Name: "lb-1", Kind: weir.LoadBalancer, Addresses: []netip.Addr{addr("203.0.113.20")},
			Backends: []weir.Backend{{Resource: "web-1", FrontendPort: 22, BackendPort: 22}, {Resource: "web-2"}},
		},
		{
			ID: "web-1", Name: "web-1", Kind: weir.VirtualMachine,
			Addresses: []netip.Addr{addr("203.0.113.10"), addr("2001:db8::10")}, PrivateAddresses: []netip.Addr{addr("10.0.0.4")},
			Listeners: []weir.Listener{{Port: 22, Service: "ssh"}, {Port: 443}}, Roles: []string{"bastion"},
			Tags: map[string]string{"env": "prod"}, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(),
		},
	}
	opts := cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
	if diff := cmp.Diff(want, inv.Resources(), opts); diff != "" {
		t.Error(diff)
	}
	wantNet := []Network{{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Kind: weir.VirtualMachine, Tenant: "lab"}}
	if diff := cmp.Diff(wantNet, inv.Networks(), opts); diff != "" {
		t.Error(diff)
	}
	wantAllow := []Allow{{netip.MustParsePrefix("192.0.2.7/32"), "our vulnerability scanner", time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()}}
	if diff := cmp.Diff(wantAllow, inv.Allow(), opts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`resource "lb-1": the backend "web-2" is not described by the inventory, did you mean "web-1"?`}, inv.Warnings()); diff != "" {
		t.Error(diff)
	}
	r, _ := inv.Lookup(addr("198.51.100.9"))
	made := &weir.Resource{ID: "198.51.100.9", Name: "198.51.100.9", Kind: weir.VirtualMachine, Tenant: "lab", Addresses: []netip.Addr{addr("198.51.100.9")}}
	if diff := cmp.Diff(made, r, opts); diff != "" {
		t.Error(diff)
	}
}

// TestJSONIsYAML reads one inventory in both spellings, with what YAML alone does
// not read: surrogate pairs and escaped slashes.
func TestJSONIsYAML(t *testing.T) {
	j := mustParse(t, "{\"resources\":[\n\t{\"id\":\"a\\/b\",\"name\":\"\\ud83d\\ude00\",\"addresses\":[\"203.0.113.1\"],\"tags\":{\"n\":1,\"t\":true},\"tenant\":null}]}")
	y := mustParse(t, "resources:\n- {id: a/b, name: \"\U0001F600\", addresses: [203.0.113.1], tags: {n: 1, t: true}}")
	if diff := cmp.Diff(y.Resources(), j.Resources(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	flow := mustParse(t, "{resources: [{id: a, addresses: [203.0.113.1]}]}") // YAML in flow style
	if len(flow.Resources()) != 1 {
		t.Error("flow style")
	}
	anchor := mustParse(t, "resources:\n- {id: a, roles: &r [mail], addresses: [203.0.113.1]}\n- {id: b, roles: *r, addresses: [203.0.113.2]}")
	if !anchor.Resources()[1].HasRole("mail") {
		t.Error("an alias was not followed")
	}
}

func TestFilesMerge(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := write("a.yaml", "resources:\n- {id: lb, kind: load-balancer, addresses: [203.0.113.1], backends: [{resource: web}]}\n")
	b := write("b.json", `{"resources":[{"id":"web","addresses":["203.0.113.2"]}],"networks":[{"prefix":"198.51.100.0/24"}]}`)
	inv, err := Load([]string{a, b})
	if err != nil || len(inv.Resources()) != 2 || len(inv.Networks()) != 1 || len(inv.Warnings()) != 0 {
		t.Fatalf("%+v, %v", inv, err)
	}
	c := write("c.yaml", "resources:\n- id: other\n  addresses: [203.0.113.2]\n")
	_, err = Load([]string{a, b, c})
	want := c + `:3:15: the address 203.0.113.2 already belongs to resource "web", an address may belong to one resource of a tenant`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	var place *Error
	if !errors.As(err, &place) || place.Line != 3 || place.Col != 15 {
		t.Errorf("%+v", place)
	}
	if _, err = Load([]string{filepath.Join(dir, "none.yaml")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if inv, err := Load(nil); err != nil || len(inv.Resources()) != 0 {
		t.Errorf("no files: %v", err)
	}
}

func TestNewChecks(t *testing.T) {
	bad := []*weir.Resource{
		{ID: "", Kind: weir.VirtualMachine},
		{ID: "b", Kind: "box", Addresses: []netip.Addr{{}}},
		{ID: "c", Kind: weir.VirtualMachine, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.1")}},
		{ID: "d", Kind: weir.VirtualMachine, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.1")}},
	}
	_, err := New(bad, []Network{{Prefix: netip.MustParsePrefix("198.51.100.7/24"), Kind: "x"}}, []Allow{{}})
	for _, want := range []string{"has no id", `unknown kind "box"`, "is not valid", "already belongs", "bits set", "allow entry 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if _, err := New([]*weir.Resource{nil}, nil, nil); err == nil {
		t.Error("a nil resource passed")
	}
}
