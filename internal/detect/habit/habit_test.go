package habit

import (
	"testing"
	"time"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect/service"
)

func TestShareNeedsEvidence(t *testing.T) {
	var s Share
	s.Add(4, 20)
	s.Close(true)
	if u := s.Upper(); u != 0 {
		t.Errorf("a share of %v from 20 packets", u)
	}
	s.Add(80, 400)
	if u := s.Upper(); u != 0 {
		t.Errorf("a share of %v from a day that has not closed", u)
	}
	s.Close(false)
	if u := s.Upper(); u != 0 {
		t.Errorf("a share of %v from a day that was not to be learnt", u)
	}
	s.Add(80, 400)
	s.Close(true)
	if u := s.Upper(); u < 0.2 || u > 0.25 {
		t.Errorf("share %v, want a little above 0.2", u)
	}
}

// hours closes n hours with so many destinations of a port each.
func hours(p *Ports, from, n, each int, port service.Port, skip bool) {
	for h := range n {
		for range each {
			p.Add(port)
		}
		p.Close(int64(from+h)*int64(time.Hour), func(service.Port) bool { return skip })
	}
}

func TestUsualDestinationsDoNotSurprise(t *testing.T) {
	mail, smb := service.Port{Proto: weir.ProtoTCP, Port: Mail}, service.Port{Proto: weir.ProtoTCP, Port: 445}
	var p Ports
	if s := p.Surprise(smb, 20, 1); s < 6 {
		t.Errorf("20 unanswered destinations of a new port: surprise %v", s)
	}
	if s := p.Surprise(mail, 20, 1); s > 4 {
		t.Errorf("20 unanswered mail servers in the first hour: surprise %v", s)
	}
	if s := p.Surprise(mail, 200, 1); s < 6 {
		t.Errorf("200 unanswered mail servers in the first hour: surprise %v", s)
	}
	hours(&p, 1, 72, 20, smb, false)
	if s := p.Surprise(smb, 25, 1); s > 3 {
		t.Errorf("25 destinations where 20 are usual: surprise %v", s)
	}
	if s := p.Surprise(smb, 200, 1); s < 6 {
		t.Errorf("200 destinations where 20 are usual: surprise %v", s)
	}
	// Silence is learnt as well, however long the gap.
	hours(&p, 72+24*21, 1, 0, smb, false)
	if s := p.Surprise(smb, 25, 1); s < 2 {
		t.Errorf("25 destinations after three weeks of none: surprise %v", s)
	}
}

func TestRunningAlertsTeachNothing(t *testing.T) {
	smb := service.Port{Proto: weir.ProtoTCP, Port: 445}
	var p Ports
	hours(&p, 1, 72, 200, smb, true)
	if s := p.Surprise(smb, 20, 1); s < 6 {
		t.Errorf("surprise %v after hours that were not to be learnt", s)
	}
}

func TestPortsAreBounded(t *testing.T) {
	var p Ports
	busy := service.Port{Proto: weir.ProtoTCP, Port: 7}
	for h := range 8 {
		for range 50 {
			p.Add(busy)
		}
		for i := range 5000 {
			p.Add(service.Port{Proto: weir.ProtoTCP, Port: uint16(10000 + 5000*h + i)})
		}
		if len(p.Now) > 16*maxPorts {
			t.Fatalf("%d ports in an hour", len(p.Now))
		}
		p.Close(int64(h+1)*int64(time.Hour), func(service.Port) bool { return false })
		if len(p.Past) > maxPorts {
			t.Fatalf("%d ports are remembered", len(p.Past))
		}
	}
	if p.Past[busy] == nil {
		t.Error("the busiest port was forgotten")
	}
}

func TestTargetsAreKnownForAWeekOrTwo(t *testing.T) {
	const week = int64(7 * 24 * time.Hour)
	var k Known
	k.Add(1, 100*week)
	if !k.Has(1) || k.Has(2) {
		t.Error("what was added is known, nothing else")
	}
	k.Add(2, 101*week)
	if !k.Has(1) {
		t.Error("a target was forgotten within 14 days")
	}
	k.Add(3, 102*week)
	if k.Has(1) || !k.Has(2) {
		t.Error("a target is known for the generation after its own, not longer")
	}
	k.Add(4, 105*week)
	if k.Has(2) || k.Has(3) {
		t.Error("targets are known after three weeks of silence")
	}
	for h := range uint64(3 * knownMax) {
		k.Add(h, 105*week)
		if n := len(k.Sets[0]) + len(k.Sets[1]); n > 2*knownMax {
			t.Fatalf("%d targets", n)
		}
	}
}
