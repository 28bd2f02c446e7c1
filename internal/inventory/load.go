package inventory

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	weir "github.com/weir-net/weir"
)

// Load reads inventory files of any form of the contract, told from their content,
// and joins them: resources of several files may refer to each other, and an entry
// of the contract's own form completes an imported resource of the same id. Globs
// are the caller's business. The error joins at most 20 faults, each an [*Error]
// or the error of a file that could not be read.
func Load(paths []string) (*Inventory, error) {
	d := &draft{cloud: newCloud()}
	for _, p := range paths {
		data, err := readFile(p)
		if err != nil {
			d.add(err)
			continue
		}
		d.parse(p, data)
	}
	return d.assemble()
}

// Parse reads one inventory from memory; name stands for the file in faults.
func Parse(name string, data []byte) (*Inventory, error) {
	d := &draft{cloud: newCloud()}
	d.parse(name, data)
	return d.assemble()
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	if len(data) > maxFileSize {
		return nil, &Error{path, 1, 1, fmt.Sprintf("the file is too big, expected at most %d MiB", maxFileSize>>20)}
	}
	return data, nil
}

// parse reads one file into the draft.
func (d *draft) parse(file string, data []byte) {
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	root, err := tree(file, data)
	if err != nil {
		d.add(err)
		return
	}
	r := &reader{d: d, file: file}
	switch form, value := sniff(root); form {
	case formAzure:
		d.cloud.azure(value)
	case formAWS:
		d.cloud.aws(value)
	case formTerraform:
		d.cloud.terraform(value)
	case formForeign:
		r.fail(root, "not an inventory: expected resources, networks or allow, the output of az or aws, or Terraform state")
	case formOwn:
		r.document(root)
	}
}

// assemble joins the draft into an inventory.
func (d *draft) assemble() (*Inventory, error) {
	imported := d.cloud.resolve(d.entries)
	d.complete(imported)
	resources := make([]*weir.Resource, 0, len(d.entries)+len(imported))
	for _, e := range d.entries {
		if e.res.Kind == "" {
			e.res.Kind = weir.VirtualMachine
		}
		if e.res.Kind == weir.VirtualMachine && len(e.res.Backends) > 0 {
			d.add(e.backends.fault(fmt.Sprintf("resource %q of kind virtual-machine has backends, expected kind load-balancer or application-gateway", e.res.ID)))
		}
		resources = append(resources, e.res)
	}
	for _, r := range imported {
		if r != nil {
			resources = append(resources, r)
		}
	}
	networks := make([]Network, 0, len(d.networks))
	for _, n := range d.networks {
		networks = append(networks, n.net)
	}
	inv, conflicts := build(resources, networks, d.allow)
	for _, c := range conflicts {
		d.add(d.place(c).fault(c.text))
	}
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	inv.warnings = append(inv.warnings, d.cloud.warnings...)
	return inv, nil
}

// place finds where a contradiction stands.
func (d *draft) place(c conflict) place {
	switch {
	case c.network >= 0 && c.network < len(d.networks):
		return d.networks[c.network].at
	case c.resource >= 0 && c.resource < len(d.entries):
		e := d.entries[c.resource]
		if p, ok := e.addresses[c.addr]; ok {
			return p
		}
		return e.at
	}
	return place{"imported inventory", 1, 1}
}

// complete lets entries written by hand complete the imported resource of the same
// id: what the entry gives wins. The imported one is then set to nil.
func (d *draft) complete(imported []*weir.Resource) {
	if len(imported) == 0 {
		return
	}
	at := make(map[string]int, len(imported))
	for i, r := range imported {
		at[idKey("", r.ID)] = i
	}
	for _, e := range d.entries {
		i, ok := at[idKey("", e.res.ID)]
		if !ok || imported[i] == nil {
			continue
		}
		from, to := imported[i], e.res
		if !e.set["name"] {
			to.Name = from.Name
		}
		if !e.set["kind"] {
			to.Kind = from.Kind
		}
		if !e.set["addresses"] {
			to.Addresses = from.Addresses
			to.SinceUnknown = !e.set["since"]
		}
		if !e.set["privateAddresses"] {
			to.PrivateAddresses = from.PrivateAddresses
		}
		if !e.set["listeners"] {
			to.Listeners = from.Listeners
		}
		if !e.set["backends"] {
			to.Backends = from.Backends
		}
		if !e.set["roles"] {
			to.Roles = from.Roles
		}
		if !e.set["tags"] {
			to.Tags = from.Tags
		}
		imported[i] = nil
	}
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
