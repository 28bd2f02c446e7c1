package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/weir-net/weir/internal/engine/config"
	"github.com/weir-net/weir/internal/ingest"
)

// Outcomes of a check.
const (
	CheckOK      = "ok"
	CheckWarning = "warning" // works, and loses or judges less than it could
	CheckFault   = "fault"   // does not work
	CheckSkipped = "skipped" // could not be looked at
)

// Check is one thing that was looked at.
type Check struct {
	Status string `json:"status"`
	// Check names what was looked at, Subject the one that was meant.
	Check   string `json:"check"`
	Subject string `json:"subject"`
	Found   string `json:"found"`
	// Fix is the command, the setting or the change that helps; empty when
	// nothing is wrong.
	Fix string `json:"fix,omitempty"`
}

// Running is what a running server says of itself.
type Running struct {
	URL       string
	health    health
	exporters []exporterState
}

// AskRunning asks a server at url for its state. get decodes the answer of a path
// of the API.
func AskRunning(ctx context.Context, url string, get func(ctx context.Context, path string, v any) error) (*Running, error) {
	r := &Running{URL: url}
	if err := get(ctx, "/api/v1/health", &r.health); err != nil {
		return nil, err
	}
	var list struct {
		Items []exporterState `json:"items"`
	}
	if err := get(ctx, "/api/v1/exporters", &list); err != nil {
		return nil, err
	}
	r.exporters = list.Items
	return r, nil
}

// Examination is what Examine looks at.
type Examination struct {
	Config *config.Loaded
	// Running is the server that runs with this configuration, nil for none.
	Running *Running
	Now     time.Time
}

// Examine looks at the machine, the configuration and the running server. It
// binds ports for a moment where no server has them, and changes nothing.
func Examine(x Examination) []Check {
	e := examination{Examination: x, l: x.Config}
	e.configured()
	e.clock()
	e.ports()
	e.buffers()
	e.directory()
	e.feeds()
	if x.Running != nil {
		e.loss()
		e.senders()
	}
	return e.out
}

type examination struct {
	Examination
	l   *config.Loaded
	out []Check
}

func (e *examination) add(status, check, subject, fix, format string, args ...any) {
	e.out = append(e.out, Check{Status: status, Check: check, Subject: subject, Found: fmt.Sprintf(format, args...), Fix: fix})
}

// configured looks for what this version cannot do, and for something to protect.
func (e *examination) configured() {
	name := e.l.File
	if name == "" {
		name = "the defaults"
	}
	for _, p := range Unsupported(e.l) {
		e.add(CheckFault, "configuration", name, "remove "+p.Key+" from the configuration", "%s", p.Error())
	}
	var paths []string
	for _, p := range e.l.Inventory.Files {
		paths = append(paths, string(p))
	}
	inv, err := LoadInventory(paths)
	switch {
	case err != nil:
		e.add(CheckFault, "inventory", strings.Join(paths, ", "), "mend the file at the place named, then: weir config check"+e.configFlag(), "%v", err)
	case len(inv.Resources())+len(inv.Networks()) == 0:
		e.add(CheckWarning, "inventory", name, "name what you protect in inventory.files, then: weir config check"+e.configFlag(), "nothing is protected, so there will be no alert")
	default:
		e.add(CheckOK, "inventory", strings.Join(paths, ", "), "", "%d resources, %d networks", len(inv.Resources()), len(inv.Networks()))
	}
}

func (e *examination) configFlag() string {
	if e.l.File == "" {
		return ""
	}
	return " -c " + e.l.File
}

// clock looks at the clock of this machine: event times are held against it.
func (e *examination) clock() {
	switch synchronised, known := clockSynchronised(); {
	case !known:
		e.add(CheckSkipped, "clock", "this machine", "", "this system does not say whether its clock is synchronised")
	case !synchronised:
		e.add(CheckWarning, "clock", "this machine", "timedatectl set-ntp true", "the kernel says that the clock is not synchronised")
	default:
		e.add(CheckOK, "clock", "this machine", "", "synchronised")
	}
}

// ports binds every address, or finds the running server there.
func (e *examination) ports() {
	var bound []string
	if r := e.Running; r != nil {
		for _, a := range r.health.Addresses.NetFlow {
			bound = append(bound, strconv.Itoa(int(a.Port())))
		}
		for _, a := range r.health.Addresses.SFlow {
			bound = append(bound, strconv.Itoa(int(a.Port())))
		}
	}
	for _, l := range []struct {
		key   string
		addrs []config.Address
	}{{"listen.netflow", e.l.Listen.Netflow}, {"listen.sflow", e.l.Listen.SFlow}} {
		for _, a := range l.addrs {
			_, port, err := net.SplitHostPort(string(a))
			held := false
			for _, p := range bound {
				held = held || err == nil && p == port
			}
			e.port(l.key, "udp", string(a), held, func() (interface{ Close() error }, error) {
				return (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", string(a))
			})
		}
	}
	e.port("api.listen", "tcp", string(e.l.API.Listen), e.Running != nil, func() (interface{ Close() error }, error) {
		return (&net.ListenConfig{}).Listen(context.Background(), "tcp", string(e.l.API.Listen))
	})
}

func (e *examination) port(key, network, address string, held bool, bind func() (interface{ Close() error }, error)) {
	subject := network + " " + address
	if held {
		e.add(CheckOK, "port", subject, "", "the running server has it")
		return
	}
	_, port, _ := net.SplitHostPort(address)
	c, err := bind()
	switch {
	case err == nil:
		_ = c.Close() // nothing was received
		if e.Running != nil {
			e.add(CheckFault, "port", subject, "restart the server: systemctl restart weir", "free: the server at %s runs with other settings", e.Running.URL)
			return
		}
		e.add(CheckOK, "port", subject, "", "free")
	case errors.Is(err, syscall.EADDRINUSE):
		flags := map[string]string{"udp": "-lunp", "tcp": "-ltnp"}[network]
		e.add(CheckFault, "port", subject, fmt.Sprintf("ss %s 'sport = :%s' names the process that has it: stop that one, or set another port in %s", flags, port, key), "in use by another process")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		e.add(CheckFault, "port", subject, "setcap cap_net_bind_service=+ep "+executable(), "this user may not bind a port below 1024")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.add(CheckFault, "port", subject, "ip -brief address lists what this machine has: set one of these in "+key, "no address of this machine")
	default:
		e.add(CheckFault, "port", subject, "set an address of this machine in "+key, "%v", err)
	}
}

func executable() string {
	if name, err := os.Executable(); err == nil {
		return name
	}
	return "$(command -v weir)"
}

// bufferFix raises the limit of the kernel, now and after the next start.
func bufferFix(asked int) string {
	return fmt.Sprintf("sysctl -w net.core.rmem_max=%d && echo 'net.core.rmem_max = %d' > /etc/sysctl.d/60-weir.conf && systemctl restart weir", asked, asked)
}

// buffers compares what the kernel grants with what is asked for.
func (e *examination) buffers() {
	asked := int(e.l.Listen.ReceiveBuffer)
	who, granted := "this user", 0
	if r := e.Running; r != nil && len(r.health.Sockets) > 0 {
		who, granted = "the running server", r.health.Sockets[0].ReceiveBuffer
		asked = r.health.ReceiveBuffer
		for _, s := range r.health.Sockets {
			granted = min(granted, s.ReceiveBuffer)
		}
	} else {
		var err error
		if granted, err = ingest.ProbeReceiveBuffer(asked); err != nil {
			e.add(CheckSkipped, "buffer", "listen.receiveBuffer", "", "%v", err)
			return
		}
	}
	switch size := humanize.IBytes(uint64(max(asked, 0))); {
	case granted == 0:
		e.add(CheckSkipped, "buffer", "listen.receiveBuffer", "", "%s asked for; this system does not say what it grants", size)
	case granted < asked:
		e.add(CheckWarning, "buffer", "listen.receiveBuffer", bufferFix(asked), "%s asked for, %s granted to %s: bursts of exporters are lost", size, humanize.IBytes(uint64(max(granted, 0))), who)
	default:
		e.add(CheckOK, "buffer", "listen.receiveBuffer", "", "%s granted to %s", size, who)
	}
}

// directory looks whether the store can be written.
func (e *examination) directory() {
	dir := string(e.l.Store.Dir)
	at := dir
	for { // what is not there will be made below the first that is
		st, err := os.Stat(at)
		if err == nil && !st.IsDir() {
			e.add(CheckFault, "store", dir, "set store.dir to a directory", "%s is no directory", at)
			return
		}
		if err == nil {
			break
		}
		if up := filepath.Dir(at); !errors.Is(err, fs.ErrNotExist) || up == at {
			e.add(CheckFault, "store", dir, "install -d -o $(id -un) "+dir, "%v", err)
			return
		}
		at = filepath.Dir(at)
	}
	f, err := os.CreateTemp(at, ".doctor-*")
	if err != nil {
		e.add(CheckFault, "store", dir, "install -d -o $(id -un) "+dir, "this user cannot write it")
		return
	}
	_, _ = f.Close(), os.Remove(f.Name()) // it is empty
	e.add(CheckOK, "store", dir, "", "can be written")
}

// feeds reads the feeds and looks at their age.
func (e *examination) feeds() {
	for _, f := range feedFiles(&e.l.Config) {
		st, err := os.Stat(f.Path)
		if err != nil {
			e.add(CheckFault, "feed", f.Source, "fetch the feed into "+f.Path, "%v", err)
			continue
		}
		_, _, err = LoadIntel([]IntelFile{f}, e.Now)
		age := e.Now.Sub(st.ModTime()).Round(time.Minute)
		switch most := time.Duration(e.l.Intel.MaxAge); {
		case err != nil:
			e.add(CheckFault, "feed", f.Source, "weir intel check "+f.Path+" tells more", "%v", err)
		case age > most:
			e.add(CheckWarning, "feed", f.Source, "fetch the feed anew into "+f.Path+" (a timer does that best); the server reads it by itself", "%s old, more than intel.maxAge (%s): its indicators decay", config.Duration(age), e.l.Intel.MaxAge)
		default:
			e.add(CheckOK, "feed", f.Source, "", "%s old", config.Duration(max(age, 0)))
		}
	}
}
