package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFaultsAreToldWithPlaceAndRemedy(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown section", "detekt: {}", `1:1: detekt: unknown key, did you mean "detect"?`},
		{"unknown key", "detect:\n  ssh:\n    flor1h: 3", `3:5: detect.ssh.flor1h: unknown key, did you mean "floor1h"?`},
		{"unknown key without a neighbour", "log: {zzzzzz: 1}", `1:7: log.zzzzzz: unknown key, expected one of level, format`},
		{"twice", "log: {level: info, level: warn}", `1:20: log.level: the key stands twice, expected once`},
		{"wrong kind", "listen: [1]", `1:9: listen: a list is wrong here, expected a map of keys`},
		{"no duration", "detect: {pane: 10x}", `1:16: detect.pane: "10x" is no duration, expected a form such as 90s, 10m, 24h or 30d`},
		{"no size", "detect: {memory: much}", `1:18: detect.memory: "much" is no size, expected a form such as 64MiB, 1GiB or a number of bytes`},
		{"no rate", "inputs: {sampling: [{exporter: 192.0.2.1, rate: 0}]}", `inputs.sampling[0].rate: "0" is no sampling rate, expected a form such as 1/1000 or 1000`},
		{"no enum", "detect: {sensitivity: hihg}", `1:23: detect.sensitivity: "hihg" is wrong here, expected one of low, medium, high, did you mean "high"?`},
		{"no bool", "inventory: {learnRoles: maybe}", `1:25: inventory.learnRoles: "maybe" is wrong here, expected true or false`},
		{"no number", "detect: {ssh: {floor1h: many}}", `1:25: detect.ssh.floor1h: "many" is wrong here, expected a whole number`},
		{"plain secret", "store: {dsn: hunter2}", `1:14: store.dsn: a secret is given by reference only, expected file:PATH or env:NAME`},
		{"no address", "api: {listen: somewhere}", `1:15: api.listen: "somewhere" is no address, expected host:port, [2001:db8::1]:port or :port`},
		{"missing key", "intel: {feeds: [{name: a}]}", `1:17: intel.feeds[0].source: the key is missing, expected a path or a URL`},
		{"names twice", "intel: {feeds: [{name: a, source: x}, {name: a, source: y}]}", `1:46: intel.feeds[1].name: "a" stands twice, expected a unique name`},
		{"alert type", "detect: {disabled: [SSH_Incoming_BF_OneToOn]}", `1:21: detect.disabled[0]: "SSH_Incoming_BF_OneToOn" is no alert type, did you mean "SSH_Incoming_BF_OneToOne"?`},
		{"rule settings", "detect: {ssh: {floor1h: 0}}", `detect.ssh.floor1h and floor24h: at least 1`},
		{"open door", "api: {listen: \"0.0.0.0:8780\"}", `1:15: api.listen: 0.0.0.0:8780 is reachable from elsewhere and nothing asks who is there`},
		{"no dsn", "store: {type: postgres}", `1:8: store.dsn: the key is missing, expected a secret with the PostgreSQL URL`},
		{"no brokers", "journal: {type: kafka}", `journal.kafka.brokers: the list is empty`},
		{"key of another sink", "export: {sinks: [{name: a, type: file, path: x, topic: y}]}", `export.sinks[0].topic: the key does not go with type file, it belongs to kafka`},
		{"encoding of another sink", "export: {sinks: [{name: a, type: webhook, url: 'https://h/', encoding: cef}]}", `export.sinks[0].encoding: "cef" does not go with type webhook`},
		{"key of the sink missing", "export: {sinks: [{name: a, type: kafka, topic: t}]}", `export.sinks[0].brokers: the key is missing, expected a list (type is kafka)`},
		{"plain http", "export: {sinks: [{name: a, type: webhook, url: 'http://example.net/'}]}", `export.sinks[0].url: http to a host other than loopback is refused`},
		{"suppression name", "suppressions: [{name: 'a b', alertType: '*', reason: x}]", `suppressions[0].name: "a b" is no name`},
		{"role", "api: {tokens: [{name: a, role: root, token: 'env:X'}]}", `api.tokens[0].role: "root" is wrong here, expected one of reader, triage, admin`},
		{"no YAML", "a: [", `no YAML: `},
		{"text", "hello", `1:1: "hello" is wrong here, expected a map of keys`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := write(t, tt.text)
			_, err := Load(Input{File: name})
			if AsProblems(err) == nil {
				t.Fatalf("got %v, want problems", err)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), name+":") {
				t.Errorf("got  %s\nwant …%s", err, tt.want)
			}
		})
	}
}

// example is the full example of the configuration reference.
const example = `
listen:
  netflow: ["0.0.0.0:2055", "0.0.0.0:4739"]
  sflow: ["0.0.0.0:6343"]
  exporters: [192.0.2.0/24]
inputs:
  kafka:
    - {name: flows, brokers: ["kafka-1:9092"], topics: [flows], format: goflow2-protobuf}
  sampling:
    - {exporter: 192.0.2.1/32, rate: 1/4096}
inventory:
  files: [inventory.yaml]
intel:
  feeds:
    - {name: feodo, source: feeds/feodo.csv, category: c2, interval: 1h}
detect:
  sensitivity: medium
  ssh: {floor1h: 60}
suppressions:
  - name: our-scanner
    alertType: "*"
    reason: vulnerability scanner of the security team
    expires: 2027-06-30T00:00:00Z
    allOf: [{field: entities.ip.address, in: [192.0.2.7]}]
store:
  dir: /var/lib/weir
  type: postgres
  dsn: file:/etc/weir/dsn
journal:
  type: kafka
  kafka: {brokers: ["kafka-1:9092", "kafka-2:9092"], partitions: 24, replication: 3}
archive:
  retention: 60d
export:
  link: https://weir.example.net
  sinks:
    - {name: hub, type: kafka, encoding: defender, brokers: ["ns.servicebus.windows.net:9093"], topic: alerts, preset: eventHubs, tls: {}, sasl: {mechanism: plain, username: $ConnectionString, password: "file:/etc/weir/hub"}}
    - {name: siem, type: syslog, encoding: cef, address: "siem:6514", transport: tls, filter: "severity>=medium", tls: {}}
    - {name: soar, type: webhook, url: "https://soar.example.net/hook", secret: "file:/etc/weir/hook"}
    - {name: law, type: azureLogs, endpoint: "https://dce.westeurope-1.ingest.monitor.azure.com", rule: dcr-0123, stream: Custom-SecurityAlert, tenant: "t", clientId: "c", clientSecret: "file:/etc/weir/law"}
    - {name: mail, type: smtp, address: "mail:587", username: weir, password: "env:SMTP_PASSWORD", senderAddress: weir@example.net, recipients: [soc@example.net]}
api:
  listen: 0.0.0.0:8780
  tls: {cert: /etc/weir/tls.crt, key: /etc/weir/tls.key}
  tokens:
    - {name: console, role: admin, token: "file:/etc/weir/token"}
  azure: {subscription: 11111111-2222-4333-8444-555555555555, location: westeurope}
log:
  level: info
`

func TestExampleOfTheReference(t *testing.T) {
	name := write(t, example)
	l, err := Load(Input{File: name})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(name)
	checks := map[string][2]any{
		"file relative to the file": {string(l.Inventory.Files[0]), filepath.Join(dir, "inventory.yaml")},
		"feed default":              {l.Intel.Feeds[0].Expiry, 30 * day},
		"floor given":               {l.Detect.SSH.Floor1h, 60},
		"floor default":             {l.Detect.RDP.Floor1h, 30},
		"rate":                      {l.Inputs.Sampling[0].Rate, Rate(4096)},
		"sink default":              {l.Export.Sinks[0].Timeout, 10 * second},
		"sink encoding default":     {l.Export.Sinks[2].Encoding, "weir"},
		"empty tls map":             {l.Export.Sinks[0].TLS != nil, true},
		"rules":                     {l.Rules().Families["ssh"].Floor1h, 60},
	}
	for what, c := range checks {
		if d := cmp.Diff(c[1], c[0]); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
}

func TestLayers(t *testing.T) {
	name := write(t, "detect: {ssh: {floor1h: 40, floor24h: 140, minPeers: 6}}\nlog: {level: warn}")
	l, err := Load(Input{
		File:    name,
		Environ: []string{"WEIR_DETECT__SSH__FLOOR1H=50", "WEIR_DETECT__SSH__FLOOR24H=150", "WEIR_DATA=/x", "HOME=/", "WEIR_LISTEN__NETFLOW=[\"127.0.0.1:0\"]", "WEIR_JOURNAL__KAFKA__SESSIONTIMEOUT=6s"},
		Set:     []string{"detect.ssh.floor1h=60", "detect.services={ssh: [tcp/902]}"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{l.Detect.SSH.Floor1h, l.Detect.SSH.Floor24h, l.Detect.SSH.MinPeers, l.Listen.Netflow[0], l.Detect.Services["ssh"][0], l.Journal.Kafka.SessionTimeout}
	if d := cmp.Diff([]any{60, 150, 6, Address("127.0.0.1:0"), "tcp/902", 6 * second}, got); d != "" {
		t.Error(d)
	}
	origins := map[string]string{
		"detect.ssh.floor1h": "--set detect.ssh.floor1h=60", "detect.ssh.floor24h": "WEIR_DETECT__SSH__FLOOR24H",
		"detect.ssh.minPeers": name + ":1:54", "detect.ssh.threshold": "default", "detect.rdp.floor1h": "default",
		"api.listen": "default", "log.level": name + ":2:14",
	}
	for k, want := range origins {
		if o := l.Origin(k); o != want {
			t.Errorf("origin of %s: %s, want %s", k, o, want)
		}
	}
	for _, bad := range []Input{
		{Environ: []string{"WEIR_DETEKT__SSH__FLOOR1H=1"}}, {Environ: []string{"WEIR_DETECT__SSH__FLOR=1"}},
		{Set: []string{"detect.ssh"}}, {Set: []string{"detect.ssh.flor=1"}}, {Set: []string{"log.level.x=1"}}, {Set: []string{"detect.pane=[1]"}},
	} {
		if _, err := Load(bad); AsProblems(err) == nil {
			t.Errorf("%+v: got %v, want a problem", bad, err)
		}
	}
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("weir.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("weir.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func TestSchemaAgreesWithTheLoader(t *testing.T) {
	s := schema(t)
	for _, good := range []string{example, string(First()), "detect:\n", "detect: {memory: 1073741824, pane: 1m}"} {
		if err := valid(t, s, good); err != nil {
			t.Errorf("%s\n%v", good, err)
		}
		if _, err := Load(Input{File: write(t, good)}); err != nil {
			t.Errorf("%s\n%v", good, err)
		}
	}
	for _, bad := range []string{"detekt: {}", "detect: {pane: 10x}", "detect: {sensitivity: hot}", "store: {dsn: hunter2}", "intel: {feeds: [{name: a}]}", "detect: {disabled: [x]}", "api: {azure: {pageSize: 0}}"} {
		if valid(t, s, bad) == nil {
			t.Errorf("schema accepts %s", bad)
		}
		if _, err := Load(Input{File: write(t, bad)}); err == nil {
			t.Errorf("loader accepts %s", bad)
		}
	}
}

func TestShownConfigurationReadsBack(t *testing.T) {
	l, err := Load(Input{File: write(t, example)})
	if err != nil {
		t.Fatal(err)
	}
	for _, origins := range []bool{false, true} {
		out, err := l.YAML(origins)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(Input{File: write(t, string(out))})
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if d := cmp.Diff(l.Plain(), again.Plain()); d != "" {
			t.Error(d)
		}
	}
	for _, s := range l.Settings() {
		if s.Key == "detect.ssh.floor1h" && !strings.HasSuffix(s.Origin, ":18:18") {
			t.Errorf("%+v", s)
		}
	}
}

func TestSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(file, []byte("geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEIR_TEST_SECRET", "env-geheim")
	for ref, want := range map[string]string{"file:" + file: "geheim", "env:WEIR_TEST_SECRET": "env-geheim"} {
		if got, err := Secret(ref).Reveal(); err != nil || got != want {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	for _, ref := range []Secret{"file:/nonexistent", "env:WEIR_TEST_UNSET", ""} {
		if _, err := ref.Reveal(); err == nil {
			t.Errorf("%q revealed something", ref)
		}
	}
	var s Secret
	if err := s.parse("hunter2", ""); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a plain secret must be refused and not repeated: %v", err)
	}
}

func TestDurationsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(400*24*time.Hour/time.Millisecond)).Draw(t, "ms")) * time.Millisecond
		got, err := ParseDuration(Duration(d).String())
		if err != nil || got != d {
			t.Fatalf("%s: %v, %v", Duration(d), got, err)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("detect: &x {ssh: *x}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := Load(Input{File: name}); err == nil && l == nil {
			t.Fatal("neither a configuration nor an error")
		}
	})
}
