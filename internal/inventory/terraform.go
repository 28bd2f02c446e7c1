package inventory

import (
	"net/netip"
	"strings"

	weir "github.com/weir-net/weir"
)

// terraform reads a state file of version 4 or the output of terraform show -json.
// Source: Terraform documentation, "JSON output format", and the attribute
// references of the providers azurerm, aws and google.
func (c *cloud) terraform(value any) {
	o, _ := value.(object)
	for _, r := range o.list("resources") {
		for _, i := range r.list("instances") {
			c.terraformOne(r.text("type"), i.object("attributes"))
		}
	}
	c.terraformModule(o.object("values", "root_module"), 0)
}

func (c *cloud) terraformModule(m object, depth int) {
	if m == nil || depth > maxDepth {
		return
	}
	for _, r := range m.list("resources") {
		c.terraformOne(r.text("type"), r.object("values"))
	}
	for _, child := range m.list("child_modules") {
		c.terraformModule(child, depth+1)
	}
}

func (c *cloud) terraformOne(typ string, o object) {
	if o == nil {
		return
	}
	switch {
	case strings.HasPrefix(typ, "azurerm_"):
		c.terraformAzure(typ, o)
	case strings.HasPrefix(typ, "aws_"):
		c.terraformAWS(typ, o)
	case strings.HasPrefix(typ, "google_"):
		c.terraformGoogle(typ, o)
	}
}

func (c *cloud) terraformAzure(typ string, o object) {
	id := o.text("id")
	if id == "" {
		return
	}
	switch typ {
	case "azurerm_linux_virtual_machine", "azurerm_windows_virtual_machine", "azurerm_virtual_machine":
		n := c.resource(id, o.text("name"), weir.VirtualMachine, tagsOf(o.object("tags")))
		n.holdAll(append(o.texts("public_ip_addresses"), o.text("public_ip_address")), false)
		n.holdAll(append(o.texts("private_ip_addresses"), o.text("private_ip_address")), true)
		for _, nic := range o.texts("network_interface_ids") {
			c.node(nic).parent = key(id)
		}
	case "azurerm_network_interface":
		n := c.node(id)
		if vm := o.text("virtual_machine_id"); vm != "" {
			n.parent = key(vm)
		}
		n.holdAll(o.texts("private_ip_addresses"), true)
		for _, cfg := range o.list("ip_configuration") {
			n.holds(cfg.text("private_ip_address"), true)
			if p := cfg.text("public_ip_address_id"); p != "" {
				c.node(p).parent = key(id)
			}
		}
	case "azurerm_public_ip":
		c.node(id).holds(o.text("ip_address"), false)
	case "azurerm_lb", "azurerm_application_gateway":
		c.terraformFront(typ, id, o)
	case "azurerm_lb_rule":
		n := c.node(o.text("loadbalancer_id"))
		for _, p := range o.texts("backend_address_pool_ids") {
			n.forwards(rule{protoOf(o.text("protocol")), portOf(o.text("frontend_port")), portOf(o.text("backend_port")), key(p), ""})
		}
	case "azurerm_network_interface_backend_address_pool_association":
		nic, p := o.text("network_interface_id"), o.text("backend_address_pool_id")
		if nic != "" && p != "" {
			pl := c.pool(p)
			pl.lb = key(azureOwner(p))
			pl.add(poolMember{key: key(nic), id: nic})
		}
	}
}

// terraformFront reads a load balancer or gateway of azurerm.
func (c *cloud) terraformFront(typ, id string, o object) {
	kind := weir.LoadBalancer
	if typ == "azurerm_application_gateway" {
		kind = weir.ApplicationGateway
	}
	n := c.resource(id, o.text("name"), kind, tagsOf(o.object("tags")))
	for _, cfg := range o.list("frontend_ip_configuration") {
		n.holds(cfg.text("private_ip_address"), true)
		if p := cfg.text("public_ip_address_id"); p != "" {
			c.node(p).parent = key(id)
		}
	}
	if kind == weir.LoadBalancer {
		return
	}
	// A gateway refers to its own parts by name.
	ports := make(map[string]uint16)
	for _, p := range o.list("frontend_port") {
		ports["port "+p.text("name")] = portOf(p.text("port"))
	}
	for _, l := range o.list("http_listener") {
		ports["listener "+l.text("name")] = ports["port "+l.text("frontend_port_name")]
	}
	for _, s := range o.list("backend_http_settings") {
		ports["setting "+s.text("name")] = portOf(s.text("port"))
	}
	for _, p := range o.list("backend_address_pool") {
		pl := c.pool(id + "/backendAddressPools/" + p.text("name"))
		pl.lb = key(id)
		for _, text := range p.texts("ip_addresses") {
			if a, ok := memberAddr(text); ok {
				pl.add(poolMember{addr: a})
			}
		}
	}
	for _, r := range o.list("request_routing_rule") {
		n.forwards(rule{
			weir.ProtoTCP, ports["listener "+r.text("http_listener_name")], ports["setting "+r.text("backend_http_settings_name")],
			key(id + "/backendAddressPools/" + r.text("backend_address_pool_name")), "",
		})
	}
}

func (c *cloud) terraformAWS(typ string, o object) {
	id := o.text("id")
	switch typ {
	case "aws_instance":
		tags := tagsOf(o.object("tags"))
		n := c.resource(id, tags["Name"], weir.VirtualMachine, tags)
		n.holds(o.text("public_ip"), false)
		n.holds(o.text("private_ip"), true)
		n.holdAll(o.texts("ipv6_addresses"), false)
		if nic := o.text("primary_network_interface_id"); nic != "" {
			c.node(nic).parent = key(id)
		}
	case "aws_network_interface":
		n := c.node(id)
		n.holdAll(append(o.texts("private_ips"), o.text("private_ip")), true)
		n.holdAll(o.texts("ipv6_addresses"), false)
		for _, a := range o.list("attachment") {
			if vm := a.text("instance"); vm != "" {
				n.parent = key(vm)
			}
		}
	case "aws_eip":
		n := c.node(id)
		n.holds(o.text("public_ip"), false)
		for _, holder := range []string{o.text("instance"), o.text("network_interface")} {
			if holder != "" && n.parent == "" {
				n.parent = key(holder)
			}
		}
	case "aws_lb", "aws_alb":
		c.terraformELB(o)
	case "aws_lb_listener", "aws_alb_listener":
		n := c.node(awsLBKey(o.text("load_balancer_arn")))
		ru := rule{proto: protoOf(o.text("protocol")), front: portOf(o.text("port"))}
		n.forwards(ru)
		for _, a := range o.list("default_action") {
			if arn := a.text("target_group_arn"); arn != "" {
				ru.pool = key(arn)
				n.forwards(ru)
			}
		}
	case "aws_lb_target_group", "aws_alb_target_group":
		c.pool(o.text("arn")).port = portOf(o.text("port"))
	case "aws_lb_target_group_attachment", "aws_alb_target_group_attachment":
		target := o.text("target_id")
		m := poolMember{key: key(target), id: target, port: portOf(o.text("port"))}
		if a, ok := memberAddr(target); ok {
			m = poolMember{addr: a, port: m.port}
		}
		c.pool(o.text("target_group_arn")).add(m)
	}
}

func (c *cloud) terraformELB(o object) {
	arn := o.text("arn")
	kind := weir.ApplicationGateway
	if t := o.text("load_balancer_type"); t == "network" || t == "gateway" {
		kind = weir.LoadBalancer
	}
	n := c.resource(awsLBKey(arn), o.text("name"), kind, tagsOf(o.object("tags")))
	n.id = arn
	for _, s := range o.list("subnet_mapping") {
		n.holds(s.text("private_ipv4_address"), true)
		n.holds(s.text("ipv6_address"), false)
		if alloc := s.text("allocation_id"); alloc != "" {
			c.node(alloc).parent = awsLBKey(arn)
		}
	}
}

func (c *cloud) terraformGoogle(typ string, o object) {
	id := o.text("id")
	if id == "" {
		return
	}
	switch typ {
	case "google_compute_instance":
		n := c.resource(id, o.text("name"), weir.VirtualMachine, tagsOf(o.object("labels")))
		for _, nic := range o.list("network_interface") {
			n.holds(nic.text("network_ip"), true)
			for _, a := range nic.list("access_config") {
				n.holds(a.text("nat_ip"), false)
			}
			for _, a := range nic.list("ipv6_access_config") {
				n.holds(a.text("external_ipv6"), false)
			}
		}
	case "google_compute_forwarding_rule", "google_compute_global_forwarding_rule":
		n := c.resource(id, o.text("name"), weir.LoadBalancer, tagsOf(o.object("labels")))
		a, _ := netip.ParseAddr(o.text("ip_address"))
		n.holds(o.text("ip_address"), a.IsPrivate())
		ports := append(o.texts("ports"), o.text("port_range"))
		for _, p := range ports {
			first, last, ranged := strings.Cut(p, "-")
			if !ranged || first == last {
				n.forwards(rule{proto: protoOf(o.text("ip_protocol")), front: portOf(first)})
			}
		}
	}
}

func (n *node) holdAll(texts []string, private bool) {
	for _, t := range texts {
		n.holds(t, private)
	}
}
