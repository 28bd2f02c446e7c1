package inventory

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	weir "github.com/weir-net/weir"
)

// TestCloud reads hand-written vectors in the forms that az, aws and terraform
// print, in groups that belong together.
func TestCloud(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
	}{
		{"azure-graph", []string{"azure-graph"}},
		{"azure-lists", []string{"azure-lb-list", "azure-public-ip-list", "azure-gateway-list"}},
		{"aws", []string{"aws-instances", "aws-interfaces", "aws-lb", "aws-health", "aws-target-groups", "aws-listeners"}},
		{"terraform-state", []string{"terraform-state"}},
		{"terraform-show", []string{"terraform-show"}},
	} {
		var paths, reversed []string
		for _, f := range tt.files {
			path := filepath.Join("testdata", "cloud", f+".json")
			paths = append(paths, path)
			reversed = append([]string{path}, reversed...)
		}
		inv, err := Load(paths)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		golden(t, "cloud-"+tt.name+".golden", describe(t, inv))
		back, err := Load(reversed)
		if err != nil || describe(t, back) != describe(t, inv) {
			t.Errorf("%s: the order of files matters: %v\n%s", tt.name, err, describe(t, back))
		}
		for _, r := range inv.Resources() {
			if !r.SinceUnknown || r.Since != 0 {
				t.Errorf("%s: %s has a lease start", tt.name, r.ID)
			}
		}
	}
}

func describe(t *testing.T, inv *Inventory) string {
	t.Helper()
	var b strings.Builder
	for _, r := range inv.Resources() {
		line, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	for _, w := range inv.Warnings() {
		b.WriteString("warning: " + w + "\n")
	}
	return b.String()
}

// TestComplete lets an entry written by hand complete an imported resource.
func TestComplete(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.yaml")
	text := "resources:\n- {id: i-0aaa, roles: [bastion], since: 2026-01-01T00:00:00Z}\n- {id: i-0bbb, name: second, listeners: [{port: 22}]}\n"
	if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, err := Load([]string{own, "testdata/cloud/aws-instances.json"})
	if err != nil || len(inv.Resources()) != 2 {
		t.Fatalf("%v, %v", inv, err)
	}
	r, _ := inv.Lookup(netip.MustParseAddr("203.0.113.50"))
	if r == nil || r.Name != "web" || !r.HasRole("bastion") || r.SinceUnknown || r.Since == 0 || r.Tags["env"] != "prod" {
		t.Errorf("%+v", r)
	}
	r, _ = inv.Lookup(netip.MustParseAddr("10.2.0.6"))
	if r == nil || r.Name != "second" || !r.SinceUnknown || len(r.Listeners) != 1 || r.Kind != weir.VirtualMachine {
		t.Errorf("%+v", r)
	}
}

// TestImportedOverlap keeps virtual networks that use the same private space.
func TestImportedOverlap(t *testing.T) {
	inv := mustParse(t, `{"Reservations": [{"Instances": [
  {"InstanceId": "i-1", "PublicIpAddress": "203.0.113.1", "PrivateIpAddress": "10.0.0.4", "NetworkInterfaces": []},
  {"InstanceId": "i-2", "PublicIpAddress": "203.0.113.2", "PrivateIpAddress": "10.0.0.4", "NetworkInterfaces": []}]}]}`)
	if a := netip.MustParseAddr("10.0.0.4"); !inv.Ambiguous(a) || len(inv.Warnings()) != 1 {
		t.Errorf("ambiguous %v, warnings %q", inv.Ambiguous(a), inv.Warnings())
	}
	if r, _ := inv.Lookup(netip.MustParseAddr("203.0.113.2")); r == nil || r.ID != "i-2" {
		t.Errorf("%v", r)
	}
}

func TestNothingListed(t *testing.T) {
	if inv := mustParse(t, "[]"); len(inv.Resources()) != 0 {
		t.Error("an empty list has resources")
	}
}
