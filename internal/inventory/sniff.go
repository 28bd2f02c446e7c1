package inventory

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// form is a form of inventory file.
type form uint8

const (
	formOwn form = iota
	formAzure
	formAWS
	formTerraform
	formForeign
)

// sniff tells the form from the content and returns the value of imported forms.
func sniff(root *yaml.Node) (form, any) {
	switch root.Kind {
	case yaml.MappingNode:
		return sniffMap(root)
	case yaml.SequenceNode:
		if len(root.Content) == 0 {
			return formAzure, []any{} // what az prints when there is nothing
		}
		first := deref(root.Content[0])
		switch {
		case first.Kind != yaml.MappingNode:
			return formForeign, nil
		case azureID(first):
			return formAzure, plain(root, 0)
		case hasAny(first, "InstanceId", "Instances", "NetworkInterfaceId", "LoadBalancerArn", "TargetGroupArn", "ListenerArn"):
			return formAWS, plain(root, 0)
		}
		return formForeign, nil
	}
	return formOwn, nil // the reader says what is wrong
}

func sniffMap(root *yaml.Node) (form, any) {
	switch {
	case hasAny(root, "terraform_version", "lineage"):
		return formTerraform, plain(root, 0)
	case hasAny(root, "Reservations", "Instances", "NetworkInterfaces", "LoadBalancers", "TargetGroups", "Listeners",
		"TargetHealthDescriptions", "Addresses"):
		return formAWS, plain(root, 0)
	case azureID(root):
		return formAzure, []any{plain(root, 0)}
	}
	for _, key := range []string{"data", "value"} {
		if list := child(root, key); list != nil && list.Kind == yaml.SequenceNode {
			return formAzure, plain(list, 0)
		}
	}
	return formOwn, nil
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return deref(n.Content[i+1])
		}
	}
	return nil
}

func hasAny(n *yaml.Node, keys ...string) bool {
	for _, k := range keys {
		if child(n, k) != nil {
			return true
		}
	}
	return false
}

// azureID reports whether a map has the id of an Azure resource.
func azureID(n *yaml.Node) bool {
	id := child(n, "id")
	return id != nil && strings.HasPrefix(strings.ToLower(id.Value), "/subscriptions/") && !hasAny(n, "resources", "networks", "allow")
}

// plain turns a tree into maps, lists and text. Aliases are not followed: no
// command line prints any.
func plain(n *yaml.Node, depth int) any {
	switch {
	case depth > maxDepth:
		return nil
	case n.Kind == yaml.MappingNode:
		m := make(object, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1], depth+1)
		}
		return m
	case n.Kind == yaml.SequenceNode:
		l := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			l = append(l, plain(c, depth+1))
		}
		return l
	case n.Kind == yaml.ScalarNode && !isNull(n):
		return n.Value
	}
	return nil
}

// object is a map of an imported form.
type object map[string]any

// get returns a member without regard to case, also of the properties that Azure
// nests and its command line does not.
func (o object) get(key string) any {
	if v, ok := o[key]; ok {
		return v
	}
	for k, v := range o {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	if p, ok := o["properties"].(object); ok {
		return p.get(key)
	}
	return nil
}

// object returns the map at a path, nil for none.
func (o object) object(path ...string) object {
	for _, key := range path {
		next, _ := o.get(key).(object)
		if next == nil {
			return nil
		}
		o = next
	}
	return o
}

// text returns the text at a path, empty for none.
func (o object) text(path ...string) string {
	if len(path) == 0 {
		return ""
	}
	s, _ := o.object(path[:len(path)-1]...).get(path[len(path)-1]).(string)
	return s
}

// list returns the maps of a list.
func (o object) list(key string) []object { return objects(o.get(key)) }

// texts returns the texts of a list.
func (o object) texts(key string) (all []string) {
	l, _ := o.get(key).([]any)
	for _, v := range l {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

func objects(v any) (all []object) {
	l, _ := v.([]any)
	for _, e := range l {
		if o, ok := e.(object); ok {
			all = append(all, o)
		}
	}
	return all
}
