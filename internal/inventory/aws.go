package inventory

import (
	"net/netip"
	"strings"

	weir "github.com/weir-net/weir"
)

// memberAddr reads the address of a pool member.
func memberAddr(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return a, false
	}
	a = a.Unmap()
	return a, badAddr(a) == ""
}

// aws reads what the aws command line prints. Source: AWS CLI command reference,
// ec2 describe-instances, describe-network-interfaces and describe-addresses,
// elbv2 describe-load-balancers, describe-target-groups, describe-listeners and
// describe-target-health.
func (c *cloud) aws(value any) {
	if list, ok := value.([]any); ok {
		for _, o := range objects(list) {
			c.awsOne(o)
		}
		return
	}
	o, ok := value.(object)
	if !ok {
		return
	}
	for _, r := range o.list("Reservations") {
		c.aws(r.get("Instances"))
	}
	for _, name := range []string{"Instances", "NetworkInterfaces", "Addresses", "LoadBalancers", "TargetGroups", "Listeners"} {
		c.aws(o.get(name))
	}
	if health := o.list("TargetHealthDescriptions"); health != nil {
		c.awsHealth(o.text("TargetGroupArn"), health)
	}
}

// awsOne reads one object, told apart by the id it has.
func (c *cloud) awsOne(o object) {
	switch {
	case o.get("Instances") != nil:
		c.aws(o.get("Instances"))
	case o.text("ListenerArn") != "":
		c.awsListener(o)
	case o.text("TargetGroupArn") != "":
		c.awsTargetGroup(o)
	case o.text("LoadBalancerArn") != "":
		c.awsLB(o)
	case o.text("NetworkInterfaceId") != "" && o.get("PrivateIpAddresses") != nil:
		c.awsNIC(o)
	case o.text("AllocationId") != "":
		n := c.node(o.text("AllocationId"))
		n.holds(o.text("PublicIp"), false)
		for _, holder := range []string{o.text("InstanceId"), o.text("NetworkInterfaceId")} {
			if holder != "" && n.parent == "" {
				n.parent = key(holder)
			}
		}
	case o.text("InstanceId") != "":
		c.awsInstance(o)
	}
}

// awsTags reads a list of key and value, and the Name among them.
func awsTags(list []object) (tags map[string]string, name string) {
	for _, t := range list {
		if tags == nil {
			tags = make(map[string]string, len(list))
		}
		tags[t.text("Key")] = t.text("Value")
	}
	return tags, tags["Name"]
}

func (c *cloud) awsInstance(o object) {
	if state := o.text("State", "Name"); state == "terminated" || state == "shutting-down" {
		return
	}
	id := o.text("InstanceId")
	tags, name := awsTags(o.list("Tags"))
	n := c.resource(id, name, weir.VirtualMachine, tags)
	n.holds(o.text("PublicIpAddress"), false)
	n.holds(o.text("PrivateIpAddress"), true)
	n.holds(o.text("Ipv6Address"), false)
	for _, nic := range o.list("NetworkInterfaces") {
		n.awsAddresses(nic)
		if nicID := nic.text("NetworkInterfaceId"); nicID != "" {
			c.node(nicID).parent = key(id)
		}
	}
}

// awsAddresses notes the addresses of an interface. IPv6 addresses of a VPC are
// public, except unique local ones.
func (n *node) awsAddresses(nic object) {
	n.holds(nic.text("Association", "PublicIp"), false)
	n.holds(nic.text("PrivateIpAddress"), true)
	for _, p := range nic.list("PrivateIpAddresses") {
		n.holds(p.text("PrivateIpAddress"), true)
		n.holds(p.text("Association", "PublicIp"), false)
	}
	for _, p := range nic.list("Ipv6Addresses") {
		text := p.text("Ipv6Address")
		a, _ := netip.ParseAddr(text)
		n.holds(text, a.IsPrivate())
	}
}

func (c *cloud) awsNIC(o object) {
	n := c.node(o.text("NetworkInterfaceId"))
	n.awsAddresses(o)
	switch {
	case o.text("Attachment", "InstanceId") != "":
		n.parent = key(o.text("Attachment", "InstanceId"))
	case strings.HasPrefix(o.text("Description"), "ELB "):
		// The description of an interface of a load balancer is the end of its ARN.
		n.parent = awsLBKey(strings.TrimPrefix(o.text("Description"), "ELB "))
	case o.text("InterfaceType") == "nat_gateway":
		tags, name := awsTags(o.list("TagSet"))
		c.resource(n.id, name, weir.VirtualMachine, tags).roles = []string{"nat"}
	}
}

// awsLBKey is the key of a load balancer: the end of its ARN, for interfaces name
// only that (type, name and hash; the name alone for classic ones).
func awsLBKey(arnOrEnd string) string {
	if _, end, ok := strings.Cut(arnOrEnd, ":loadbalancer/"); ok {
		arnOrEnd = end
	}
	return "elb:" + key(arnOrEnd)
}

func (c *cloud) awsLB(o object) {
	arn := o.text("LoadBalancerArn")
	kind := weir.LoadBalancer
	if o.text("Type") == "application" {
		kind = weir.ApplicationGateway
	}
	n := c.resource(awsLBKey(arn), o.text("LoadBalancerName"), kind, nil)
	n.id = arn
	for _, z := range o.list("AvailabilityZones") {
		for _, a := range z.list("LoadBalancerAddresses") {
			n.holds(a.text("IpAddress"), false)
			n.holds(a.text("IPv6Address"), false)
			n.holds(a.text("PrivateIPv4Address"), true)
			if alloc := a.text("AllocationId"); alloc != "" {
				c.node(alloc).parent = awsLBKey(arn)
			}
		}
	}
}

func (c *cloud) awsTargetGroup(o object) {
	p := c.pool(o.text("TargetGroupArn"))
	p.port = portOf(o.text("Port"))
	for _, arn := range o.texts("LoadBalancerArns") {
		p.lb = awsLBKey(arn)
	}
}

func (c *cloud) awsListener(o object) {
	n := c.node(awsLBKey(o.text("LoadBalancerArn")))
	ru := rule{proto: protoOf(o.text("Protocol")), front: portOf(o.text("Port"))}
	n.forwards(ru)
	for _, a := range o.list("DefaultActions") {
		if arn := a.text("TargetGroupArn"); arn != "" {
			ru.pool = key(arn)
			n.forwards(ru)
		}
		for _, tg := range a.object("ForwardConfig").list("TargetGroups") {
			ru.pool = key(tg.text("TargetGroupArn"))
			n.forwards(ru)
		}
	}
}

// awsHealth reads the targets of a target group. The command line does not print
// which one, so without the key TargetGroupArn it is the one target group that the
// files describe.
func (c *cloud) awsHealth(arn string, health []object) {
	c.health = append(c.health, func() {
		p := c.pools[key(arn)]
		if arn == "" && len(c.pools) == 1 {
			for _, only := range c.pools {
				p = only
			}
		}
		if p == nil {
			c.warn("target health without a known target group is left out: add its TargetGroupArn to the file")
			return
		}
		for _, h := range health {
			id := h.text("Target", "Id")
			m := poolMember{key: key(id), id: id, port: portOf(h.text("Target", "Port"))}
			if a, ok := memberAddr(id); ok {
				m = poolMember{addr: a, port: m.port}
			}
			p.add(m)
		}
	})
}
