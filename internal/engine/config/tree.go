package config

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect"
)

// Config is the whole tree. The zero value is of no use; see [Default].
type Config struct {
	Listen       Listen        `yaml:"listen" doc:"UDP sockets that receive flow export."`
	Inputs       Inputs        `yaml:"inputs" doc:"Further inputs, and sampling rates that the export does not tell."`
	Inventory    Inventory     `yaml:"inventory" doc:"What is protected."`
	Intel        Intel         `yaml:"intel" doc:"Threat intelligence."`
	Detect       Detect        `yaml:"detect" doc:"The rules."`
	Suppressions []Suppression `yaml:"suppressions" doc:"Suppression rules; those made by API or console live in the store beside these."`
	Store        Store         `yaml:"store" doc:"Where alerts rest."`
	Journal      Journal       `yaml:"journal" doc:"The replayable record of what was received."`
	Archive      Archive       `yaml:"archive" doc:"Contacts at rest, for hunting and what-if."`
	Export       Export        `yaml:"export" doc:"Receivers of alerts."`
	API          API           `yaml:"api" doc:"Console, API and metrics."`
	Log          Log           `yaml:"log" doc:"The log, always to standard error."`
}

// Listen is the section of UDP sockets.
type Listen struct {
	Netflow           []Address `yaml:"netflow" doc:"UDP addresses for IPFIX, NetFlow v9 and v5, told from the datagram; [] for none."`
	SFlow             []Address `yaml:"sflow" doc:"UDP addresses for sFlow v5; [] for none."`
	Exporters         []Prefix  `yaml:"exporters" reload:"true" doc:"Who may send; empty means anyone."`
	Clock             string    `yaml:"clock" enum:"auto,exporter,receive" doc:"Event time: auto takes out a skew of up to 1 h, exporter believes the record, receive takes the time of receipt."`
	Workers           int       `yaml:"workers" min:"0" doc:"Receiving sockets per address; 0 means one per core."`
	ReceiveBuffer     Size      `yaml:"receiveBuffer" doc:"Receive buffer asked of the kernel."`
	MaxExporters      int       `yaml:"maxExporters" min:"1" doc:"Exporters and observation domains remembered."`
	MaxTemplates      int       `yaml:"maxTemplates" min:"1" doc:"Templates per exporter and domain."`
	MaxTemplateMemory Size      `yaml:"maxTemplateMemory" doc:"Memory of all templates together."`
}

// Inputs is the section of further inputs.
type Inputs struct {
	Kafka    []KafkaInput `yaml:"kafka" doc:"Topics written by other collectors."`
	Watch    []WatchInput `yaml:"watch" doc:"Directories and object prefixes watched for new files."`
	Sampling []Sampling   `yaml:"sampling" reload:"true" doc:"Sampling rates by exporter, where the export does not say."`
}

// KafkaInput is one group of topics.
type KafkaInput struct {
	Name    string    `yaml:"name" required:"true" doc:"Unique name."`
	Brokers []Address `yaml:"brokers" required:"true" doc:"Addresses of brokers."`
	Topics  []string  `yaml:"topics" required:"true" doc:"Topics to read."`
	Group   string    `yaml:"group" doc:"Consumer group."`
	Format  string    `yaml:"format" required:"true" enum:"goflow2-protobuf,goflow2-json,akvorado,pmacct" doc:"Encoding of the messages."`
	From    string    `yaml:"from" enum:"latest,earliest" doc:"Where a new group begins."`
	TLS     *TLS      `yaml:"tls" doc:"TLS to the brokers; {} means system roots."`
	SASL    *SASL     `yaml:"sasl" doc:"Login to the brokers."`
}

func (k *KafkaInput) setDefaults() { k.Group, k.From = "weir", "latest" }

// WatchInput is one watched directory or object prefix.
type WatchInput struct {
	Name        string   `yaml:"name" required:"true" doc:"Unique name."`
	Path        Location `yaml:"path" required:"true" doc:"Directory, or URL of an object prefix."`
	Format      string   `yaml:"format" enum:"auto,ipfix,pcap,nfdump,zeek,argus,suricata,azure-vnet,azure-nsg,aws-vpc,gcp-vpc,csv,ndjson,parquet" doc:"Format of the files."`
	Interval    Duration `yaml:"interval" doc:"Time between two looks."`
	Credentials Secret   `yaml:"credentials" doc:"Credentials of the object store."`
}

func (w *WatchInput) setDefaults() { w.Format, w.Interval = "auto", minute }

// Sampling is the rate of the exporters inside a prefix.
type Sampling struct {
	Exporter Prefix `yaml:"exporter" required:"true" doc:"Addresses of exporters."`
	Rate     Rate   `yaml:"rate" required:"true" doc:"1-in-N packet sampling."`
	Force    bool   `yaml:"force" doc:"Overrule what the export says."`
}

// TLS is a client's side of TLS.
type TLS struct {
	CA         Path   `yaml:"ca" doc:"File of root certificates (PEM)."`
	Cert       Path   `yaml:"cert" doc:"Client certificate (PEM)."`
	Key        Path   `yaml:"key" doc:"Key of the client certificate (PEM)."`
	ServerName string `yaml:"serverName" doc:"Name expected in the server's certificate."`
}

// SASL is a login to Kafka brokers.
type SASL struct {
	Mechanism string `yaml:"mechanism" required:"true" enum:"plain,scram-sha-256,scram-sha-512" doc:"Mechanism."`
	Username  string `yaml:"username" required:"true" doc:"User name."`
	Password  Secret `yaml:"password" required:"true" doc:"Password."`
}

// Inventory is the section of protected resources.
type Inventory struct {
	Files      []Path   `yaml:"files" reload:"true" doc:"Inventory files; globs allowed; watched."`
	Interval   Duration `yaml:"interval" doc:"Time between two looks at the files."`
	LearnRoles bool     `yaml:"learnRoles" doc:"Take roles from the traffic where the inventory names none."`
}

// Intel is the section of threat intelligence.
type Intel struct {
	Feeds  []Feed   `yaml:"feeds" reload:"true" doc:"Feeds of indicators."`
	MaxAge Duration `yaml:"maxAge" doc:"A feed older than this makes /readyz report a warning."`
}

// Feed is one source of indicators.
type Feed struct {
	Name       string   `yaml:"name" required:"true" doc:"Unique name."`
	Source     Location `yaml:"source" required:"true" doc:"Path or URL."`
	Format     string   `yaml:"format" doc:"Form of the indicators; auto tells it from the content."`
	Category   string   `yaml:"category" enum:"c2,infected,sinkhole,scanner,bruteforce,malicious,benign" doc:"Category where the indicator does not say."`
	Interval   Duration `yaml:"interval" doc:"Time between two readings."`
	Expiry     Duration `yaml:"expiry" doc:"End of indicators that name none."`
	Confidence float64  `yaml:"confidence" min:"0" max:"100" doc:"Base score, 0 to 100."`
	Auth       Secret   `yaml:"auth" doc:"Sent as Authorization header."`
}

func (f *Feed) setDefaults() {
	f.Format, f.Interval, f.Expiry, f.Confidence = "auto", hour, 30*day, 80
}

// Detect is the section of the rules.
type Detect struct {
	Shards           int                 `yaml:"shards" min:"0" max:"1024" doc:"Detector shards; 0 means one per core; never changes the alerts."`
	Pane             Duration            `yaml:"pane" doc:"Width of a pane."`
	Lateness         Duration            `yaml:"lateness" doc:"Watermark = newest event time of an exporter minus this."`
	Idle             Duration            `yaml:"idle" doc:"Silence after which the others stop waiting for an exporter, and open panes close."`
	Sensitivity      string              `yaml:"sensitivity" enum:"low,medium,high" reload:"true" doc:"Sensitivity of every family that sets none."`
	LearnCold        Duration            `yaml:"learnCold" doc:"Length of the first phase of a baseline."`
	LearnWarm        Duration            `yaml:"learnWarm" doc:"End of the second phase of a baseline."`
	Memory           Size                `yaml:"memory" doc:"Ceiling of detector state; the last resort."`
	PeersPerResource int                 `yaml:"peersPerResource" min:"256" doc:"Peers per window and direction that a resource keeps exactly."`
	Disabled         []weir.AlertType    `yaml:"disabled" reload:"true" doc:"Alert types that are never raised."`
	Services         map[string][]string `yaml:"services" reload:"true" doc:"Adds ports to the table of services: name to list of tcp/PORT or udp/PORT."`
	C2               detect.Family       `yaml:"c2" reload:"true" doc:"Communication with command and control."`
	Infected         detect.Family       `yaml:"infected" reload:"true" doc:"Own addresses on indicator lists."`
	Generic          detect.Family       `yaml:"generic" reload:"true" doc:"Brute force against further services."`
	SQL              detect.Family       `yaml:"sql" reload:"true" doc:"Brute force against databases."`
	DDoS             detect.Family       `yaml:"ddos" reload:"true" doc:"Outgoing floods."`
	RDP              detect.Family       `yaml:"rdp" reload:"true" doc:"Brute force over RDP."`
	SSH              detect.Family       `yaml:"ssh" reload:"true" doc:"Brute force over SSH."`
	Scan             detect.Family       `yaml:"scan" reload:"true" doc:"Outgoing scans."`
	Blocked          detect.Family       `yaml:"blocked" reload:"true" doc:"Traffic from addresses recommended for blocking."`
}

// families returns the settings of the families by name.
func (d *Detect) families() map[string]*detect.Family {
	return map[string]*detect.Family{
		"c2": &d.C2, "infected": &d.Infected, "generic": &d.Generic, "sql": &d.SQL, "ddos": &d.DDoS,
		"rdp": &d.RDP, "ssh": &d.SSH, "scan": &d.Scan, "blocked": &d.Blocked,
	}
}

// Suppression is one suppression rule.
type Suppression struct {
	Name      string          `yaml:"name" required:"true" doc:"2 to 50 letters, digits, - and _."`
	AlertType string          `yaml:"alertType" required:"true" doc:"Alert type, or * for all."`
	Reason    string          `yaml:"reason" required:"true" doc:"Why."`
	Comment   string          `yaml:"comment" doc:"Free text."`
	State     string          `yaml:"state" enum:"Enabled,Disabled" doc:"State."`
	Expires   string          `yaml:"expires" doc:"End (RFC 3339)."`
	AllOf     []SuppressionIf `yaml:"allOf" doc:"Conditions, all of which must hold."`
}

func (s *Suppression) setDefaults() { s.State = "Enabled" }

// SuppressionIf is one condition of a suppression rule.
type SuppressionIf struct {
	Field    string   `yaml:"field" required:"true" doc:"Field of the alert, for example entities.ip.address."`
	In       []string `yaml:"in" doc:"One of these; addresses may be prefixes."`
	Contains string   `yaml:"contains" doc:"Part of the value."`
}

// Store is the section of the store.
type Store struct {
	Dir       Path     `yaml:"dir" doc:"The one directory of everything this process keeps."`
	Type      string   `yaml:"type" enum:"sqlite,postgres" doc:"Kind of store."`
	DSN       Secret   `yaml:"dsn" doc:"PostgreSQL URL."`
	Retention Duration `yaml:"retention" doc:"Retention of alerts."`
}

// Journal is the section of the journal.
type Journal struct {
	Type       string       `yaml:"type" enum:"local,kafka" doc:"Kind of journal."`
	Dir        Path         `yaml:"dir" doc:"Directory of the local journal; journal in store.dir by default."`
	Sync       Duration     `yaml:"sync" doc:"Longest time until what was received is on disk."`
	Retention  Duration     `yaml:"retention" doc:"Retention of the journal."`
	MaxSize    Size         `yaml:"maxSize" doc:"Largest size of the journal."`
	Checkpoint Duration     `yaml:"checkpoint" doc:"Time between two checkpoints of detector state."`
	Kafka      JournalKafka `yaml:"kafka" doc:"The journal in Kafka."`
}

// JournalKafka is the journal in Kafka.
type JournalKafka struct {
	Brokers        []Address `yaml:"brokers" doc:"Addresses of brokers."`
	Prefix         string    `yaml:"prefix" doc:"Beginning of the names of topics."`
	Partitions     int       `yaml:"partitions" min:"1" doc:"Partitions of topics that are made."`
	Replication    int       `yaml:"replication" min:"1" doc:"Replication of topics that are made."`
	Group          string    `yaml:"group" doc:"Consumer group of the detectors."`
	SessionTimeout Duration  `yaml:"sessionTimeout" doc:"After this a silent detector's partitions move."`
	MaxBatch       Size      `yaml:"maxBatch" doc:"Largest message."`
	TLS            *TLS      `yaml:"tls" doc:"TLS to the brokers; {} means system roots."`
	SASL           *SASL     `yaml:"sasl" doc:"Login to the brokers."`
}

// Archive is the section of the archive.
type Archive struct {
	Enabled    bool        `yaml:"enabled" doc:"Keep contacts."`
	Dir        Location    `yaml:"dir" doc:"Directory, or s3://…; archive in store.dir by default."`
	Retention  Duration    `yaml:"retention" doc:"Retention of contacts."`
	MaxSize    Size        `yaml:"maxSize" doc:"Largest size; the oldest hours go first."`
	ClickHouse *ClickHouse `yaml:"clickhouse" doc:"Also write contacts to ClickHouse."`
}

// ClickHouse is a table of contacts in ClickHouse.
type ClickHouse struct {
	Address  Address `yaml:"address" required:"true" doc:"Address of the server."`
	Database string  `yaml:"database" doc:"Database."`
	Table    string  `yaml:"table" doc:"Table."`
	Username string  `yaml:"username" doc:"User name."`
	Password Secret  `yaml:"password" doc:"Password."`
	TLS      *TLS    `yaml:"tls" doc:"TLS to the server."`
}

// API is the section of console, API and metrics.
type API struct {
	Listen         Address  `yaml:"listen" doc:"Address of console, API and metrics."`
	TLS            *APITLS  `yaml:"tls" doc:"TLS of the listener."`
	OIDC           *OIDC    `yaml:"oidc" doc:"Login for the console."`
	Tokens         []Token  `yaml:"tokens" reload:"true" doc:"API tokens."`
	ProtectMetrics bool     `yaml:"protectMetrics" doc:"Ask for a token on /metrics."`
	Origins        []URL    `yaml:"origins" doc:"Other origins that browsers may call from."`
	Azure          APIAzure `yaml:"azure" doc:"The Azure-compatible surface."`
}

// APITLS is the server's side of TLS.
type APITLS struct {
	Cert     Path              `yaml:"cert" required:"true" doc:"Certificate (PEM)."`
	Key      Path              `yaml:"key" required:"true" doc:"Key (PEM)."`
	ClientCA Path              `yaml:"clientCA" doc:"Roots of client certificates; with it clients need one."`
	Roles    map[string]string `yaml:"roles" doc:"Subject of a client certificate to role."`
}

// OIDC is a login by OpenID Connect.
type OIDC struct {
	Issuer       URL               `yaml:"issuer" required:"true" doc:"Issuer."`
	ClientID     string            `yaml:"clientId" required:"true" doc:"Client id."`
	ClientSecret Secret            `yaml:"clientSecret" doc:"Client secret."`
	RoleClaim    string            `yaml:"roleClaim" doc:"Claim that holds the role."`
	Roles        map[string]string `yaml:"roles" doc:"Value of the claim to role."`
}

// Token is one API token.
type Token struct {
	Name  string `yaml:"name" required:"true" doc:"Name, for the audit log."`
	Role  string `yaml:"role" required:"true" enum:"reader,triage,admin" doc:"Role."`
	Token Secret `yaml:"token" required:"true" doc:"The token."`
}

// APIAzure sets what the Azure-compatible surface shows.
type APIAzure struct {
	Subscription  string `yaml:"subscription" doc:"Subscription of resources whose id is no Azure resource ID."`
	ResourceGroup string `yaml:"resourceGroup" doc:"Their resource group."`
	Location      string `yaml:"location" doc:"Location of all alerts."`
	PageSize      int    `yaml:"pageSize" min:"1" max:"1000" doc:"Alerts per page."`
}

// Log is the section of the log.
type Log struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error" reload:"true" doc:"Lowest level that is logged."`
	Format string `yaml:"format" enum:"auto,text,json" doc:"auto: text on a terminal, else json."`
}

const (
	second = Duration(1e9)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// Default returns the tree of defaults.
func Default() Config {
	rules := detect.DefaultConfig()
	c := Config{
		Listen: Listen{
			Netflow: []Address{":2055", ":4739"}, SFlow: []Address{":6343"}, Exporters: []Prefix{}, Clock: "auto",
			ReceiveBuffer: 32 << 20, MaxExporters: 4096, MaxTemplates: 1024, MaxTemplateMemory: 64 << 20,
		},
		Inputs:    Inputs{Kafka: []KafkaInput{}, Watch: []WatchInput{}, Sampling: []Sampling{}},
		Inventory: Inventory{Files: []Path{}, Interval: minute, LearnRoles: true},
		Intel:     Intel{Feeds: []Feed{}, MaxAge: 7 * day},
		Detect: Detect{
			Pane: Duration(rules.Pane), Lateness: Duration(rules.Lateness), Idle: 5 * minute,
			Sensitivity: string(rules.Sensitivity), LearnCold: Duration(rules.LearnCold), LearnWarm: Duration(rules.LearnWarm),
			Memory: Size(rules.Memory), PeersPerResource: rules.PeersPerResource,
			Disabled: []weir.AlertType{}, Services: map[string][]string{},
		},
		Suppressions: []Suppression{},
		Store:        Store{Dir: stateDir(), Type: "sqlite", Retention: 90 * day},
		Journal: Journal{
			Type: "local", Sync: second, Retention: 2 * day, MaxSize: 20 << 30, Checkpoint: 10 * second,
			Kafka: JournalKafka{
				Brokers: []Address{}, Prefix: "weir", Partitions: 12, Replication: 1, Group: "weir-detect",
				SessionTimeout: 45 * second, MaxBatch: 1000000,
			},
		},
		Archive: Archive{Enabled: true, Retention: 30 * day, MaxSize: 50 << 30},
		Export:  Export{Sinks: []Sink{}},
		API: API{
			Listen: "127.0.0.1:8780", Tokens: []Token{}, Origins: []URL{},
			Azure: APIAzure{Subscription: "00000000-0000-0000-0000-000000000000", ResourceGroup: "weir", Location: "local", PageSize: 100},
		},
		Log: Log{Level: "info", Format: "auto"},
	}
	for name, f := range c.Detect.families() {
		*f = rules.Families[name]
	}
	return c
}

// stateDir is $STATE_DIRECTORY, else weir in $XDG_STATE_HOME or its default
// (XDG Base Directory Specification).
func stateDir() Path {
	if d := os.Getenv("STATE_DIRECTORY"); d != "" {
		return Path(filepath.SplitList(d)[0])
	}
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return Path(filepath.Join(d, "weir"))
	}
	home, err := os.UserHomeDir()
	if err != nil || home == "" {
		return "weir-data"
	}
	return Path(filepath.Join(home, ".local", "state", "weir"))
}

// Shards returns the number of detector shards, at least 1.
func (c *Config) Shards() int {
	if c.Detect.Shards > 0 {
		return c.Detect.Shards
	}
	return runtime.NumCPU()
}

// Rules returns the configuration of the detectors.
func (c *Config) Rules() detect.Config {
	r := detect.DefaultConfig()
	d := &c.Detect
	r.Pane, r.Lateness, r.Sensitivity = d.Pane.std(), d.Lateness.std(), detect.Sensitivity(d.Sensitivity)
	r.LearnCold, r.LearnWarm = d.LearnCold.std(), d.LearnWarm.std()
	r.Memory, r.PeersPerResource = int64(d.Memory), d.PeersPerResource
	r.Disabled, r.Services = d.Disabled, d.Services
	r.Families = make(map[string]detect.Family)
	for name, f := range d.families() {
		r.Families[name] = *f
	}
	return r
}
