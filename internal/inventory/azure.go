package inventory

import (
	"strings"

	weir "github.com/weir-net/weir"
)

// azure reads objects of Azure Resource Manager, as Resource Graph prints them
// (az graph query, nested properties) or as the list commands of az do (flat).
// Source: Azure REST API reference, Microsoft.Network and Microsoft.Compute.
func (c *cloud) azure(value any) {
	for _, o := range objects(value) {
		id := o.text("id")
		if id == "" {
			continue
		}
		switch azureType(id, o.text("type")) {
		case "microsoft.compute/virtualmachines":
			c.azureVM(id, o)
		case "microsoft.network/networkinterfaces":
			c.azureNIC(id, o)
		case "microsoft.network/publicipaddresses":
			n := c.node(id)
			n.holds(o.text("ipAddress"), false)
			if owner := azureOwner(o.text("ipConfiguration", "id")); owner != "" && n.parent == "" {
				n.parent = key(owner)
				c.node(owner) // it stands for itself when no file describes it
			}
		case "microsoft.network/loadbalancers":
			c.azureLB(id, o)
		case "microsoft.network/applicationgateways":
			c.azureGateway(id, o)
		}
	}
}

// azureType returns the lower-case type of a resource, taken from its id when the
// object has none.
func azureType(id, typ string) string {
	if typ != "" {
		return strings.ToLower(typ)
	}
	parts := strings.Split(strings.ToLower(id), "/")
	for i, p := range parts {
		if p == "providers" && i+2 < len(parts) {
			return parts[i+1] + "/" + parts[i+2]
		}
	}
	return ""
}

// azureKind is the kind of a resource that is known by its id alone.
func azureKind(id string) weir.Kind {
	switch azureType(id, "") {
	case "microsoft.network/loadbalancers":
		return weir.LoadBalancer
	case "microsoft.network/applicationgateways":
		return weir.ApplicationGateway
	}
	return weir.VirtualMachine
}

// azureOwner cuts the id of a sub-resource to that of the resource: everything
// after /providers/NAMESPACE/TYPE/NAME goes. The interfaces of scale sets have a
// longer path and stand for their machine.
func azureOwner(id string) string {
	lower := strings.ToLower(id)
	i := strings.LastIndex(lower, "/providers/")
	if i < 0 {
		return id
	}
	parts := strings.Split(id[i+1:], "/")
	keep := 4
	if len(parts) >= 6 && strings.EqualFold(parts[2], "virtualMachineScaleSets") {
		keep = 6
	}
	if len(parts) <= keep {
		return id
	}
	return id[:i+1] + strings.Join(parts[:keep], "/")
}

func (c *cloud) azureVM(id string, o object) {
	n := c.resource(id, o.text("name"), weir.VirtualMachine, tagsOf(o.object("tags")))
	for _, nic := range o.object("networkProfile").list("networkInterfaces") {
		if nicID := nic.text("id"); nicID != "" {
			c.node(nicID).parent = key(id)
		}
	}
	// az vm list -d adds these, several separated by commas.
	for a := range strings.SplitSeq(o.text("publicIps"), ",") {
		n.holds(a, false)
	}
	for a := range strings.SplitSeq(o.text("privateIps"), ",") {
		n.holds(a, true)
	}
}

func (c *cloud) azureNIC(id string, o object) {
	n := c.node(id)
	if vm := o.text("virtualMachine", "id"); vm != "" {
		n.parent = key(vm)
	}
	for _, cfg := range o.list("ipConfigurations") {
		n.holds(cfg.text("privateIPAddress"), true)
		c.azurePublic(cfg, id)
		for _, name := range []string{"loadBalancerBackendAddressPools", "applicationGatewayBackendAddressPools"} {
			for _, p := range cfg.list(name) {
				if poolID := p.text("id"); poolID != "" {
					pl := c.pool(poolID)
					pl.lb = key(azureOwner(poolID))
					pl.add(poolMember{key: key(id), id: id})
				}
			}
		}
	}
}

// azurePublic notes the public address that a configuration refers to or holds.
func (c *cloud) azurePublic(cfg object, owner string) {
	p := cfg.object("publicIPAddress")
	if p == nil {
		return
	}
	if id := p.text("id"); id != "" {
		n := c.node(id)
		n.parent = key(owner)
		n.holds(p.text("ipAddress"), false)
	}
}

func (c *cloud) azureLB(id string, o object) {
	n := c.resource(id, o.text("name"), weir.LoadBalancer, tagsOf(o.object("tags")))
	for _, cfg := range o.list("frontendIPConfigurations") {
		n.holds(cfg.text("privateIPAddress"), true)
		c.azurePublic(cfg, id)
	}
	c.azurePools(id, o)
	for _, r := range o.list("loadBalancingRules") {
		ru := rule{proto: protoOf(r.text("protocol")), front: portOf(r.text("frontendPort")), back: portOf(r.text("backendPort"))}
		pools := r.list("backendAddressPools")
		if len(pools) == 0 {
			pools = []object{r.object("backendAddressPool")}
		}
		for _, p := range pools {
			ru.pool = key(p.text("id"))
			n.forwards(ru)
		}
	}
	for _, r := range o.list("inboundNatRules") {
		n.forwards(rule{
			proto: protoOf(r.text("protocol")), front: portOf(r.text("frontendPort")), back: portOf(r.text("backendPort")),
			member: key(azureOwner(r.text("backendIPConfiguration", "id"))),
		})
	}
}

// azurePools reads the pools of a load balancer or gateway.
func (c *cloud) azurePools(lb string, o object) {
	for _, p := range o.list("backendAddressPools") {
		poolID := p.text("id")
		if poolID == "" {
			continue
		}
		pl := c.pool(poolID)
		pl.lb = key(lb)
		for _, cfg := range p.list("backendIPConfigurations") {
			if member := azureOwner(cfg.text("id")); member != "" {
				pl.add(poolMember{key: key(member), id: member})
			}
		}
		for _, list := range []string{"loadBalancerBackendAddresses", "backendAddresses"} {
			for _, a := range p.list(list) {
				if addr, ok := memberAddr(a.text("ipAddress")); ok {
					pl.add(poolMember{addr: addr})
				}
			}
		}
	}
}

func (c *cloud) azureGateway(id string, o object) {
	n := c.resource(id, o.text("name"), weir.ApplicationGateway, tagsOf(o.object("tags")))
	for _, cfg := range o.list("frontendIPConfigurations") {
		n.holds(cfg.text("privateIPAddress"), true)
		c.azurePublic(cfg, id)
	}
	c.azurePools(id, o)
	ports := make(map[string]uint16) // by id of front-end port, listener and setting
	for _, p := range o.list("frontendPorts") {
		ports[key(p.text("id"))] = portOf(p.text("port"))
	}
	for _, l := range o.list("httpListeners") {
		ports[key(l.text("id"))] = ports[key(l.text("frontendPort", "id"))]
	}
	for _, s := range o.list("backendHttpSettingsCollection") {
		ports[key(s.text("id"))] = portOf(s.text("port"))
	}
	maps := make(map[string]object)
	for _, m := range o.list("urlPathMaps") {
		maps[key(m.text("id"))] = m
	}
	for _, r := range o.list("requestRoutingRules") {
		front := ports[key(r.text("httpListener", "id"))]
		target := func(pool, setting string) {
			n.forwards(rule{proto: weir.ProtoTCP, front: front, back: ports[key(setting)], pool: key(pool)})
		}
		target(r.text("backendAddressPool", "id"), r.text("backendHttpSettings", "id"))
		if m := maps[key(r.text("urlPathMap", "id"))]; m != nil {
			target(m.text("defaultBackendAddressPool", "id"), m.text("defaultBackendHttpSettings", "id"))
			for _, p := range m.list("pathRules") {
				target(p.text("backendAddressPool", "id"), p.text("backendHttpSettings", "id"))
			}
		}
	}
}
