package config

// Export is the section of receivers.
type Export struct {
	Link  URL    `yaml:"link" doc:"Beginning of links to the console; http:// and api.listen by default."`
	Sinks []Sink `yaml:"sinks" reload:"true" doc:"Receivers of alerts."`
}

// Sink is one receiver. Which of the keys below the common ones apply is told
// by the type.
type Sink struct {
	Name       string   `yaml:"name" required:"true" doc:"Unique name; label of the metrics."`
	Type       string   `yaml:"type" required:"true" enum:"kafka,syslog,webhook,azureLogs,smtp,file,alertmanager" doc:"Transport."`
	Encoding   string   `yaml:"encoding" enum:"defender,securityAlert,ocsf,ecs,cef,weir" doc:"Encoding; the default depends on the type."`
	Filter     string   `yaml:"filter" doc:"Filter expression; empty means all alerts."`
	Samples    bool     `yaml:"samples" doc:"Deliver sample alerts too."`
	Suppressed bool     `yaml:"suppressed" doc:"Deliver alerts that a suppression rule dismissed."`
	Lang       string   `yaml:"lang" enum:"en,ja" doc:"Language."`
	From       string   `yaml:"from" enum:"now,start" doc:"Where the cursor of a new sink begins."`
	Timeout    Duration `yaml:"timeout" doc:"Timeout of one attempt."`
	RetryMin   Duration `yaml:"retryMin" doc:"Shortest pause between attempts."`
	RetryMax   Duration `yaml:"retryMax" doc:"Longest pause between attempts."`
	GiveUp     Duration `yaml:"giveUp" doc:"After this a change goes to the dead-letter list; 0s means never."`
	Batch      int      `yaml:"batch" min:"0" doc:"Most changes per delivery; 0 means the default of the type."`
	Insecure   bool     `yaml:"insecure" doc:"Accept plain http to a host other than loopback."`

	Brokers []Address `yaml:"brokers" sinks:"kafka" doc:"Addresses of brokers."`
	Topic   string    `yaml:"topic" sinks:"kafka" doc:"Topic."`
	SASL    *SASL     `yaml:"sasl" sinks:"kafka" doc:"Login to the brokers."`
	Preset  string    `yaml:"preset" sinks:"kafka,webhook" enum:"eventHubs,logicApp" doc:"Settings of a well-known receiver."`
	TLS     *TLS      `yaml:"tls" sinks:"kafka,syslog,webhook,alertmanager" doc:"TLS; {} means system roots."`

	Address   Address `yaml:"address" sinks:"syslog,smtp" doc:"Address of the server."`
	Transport string  `yaml:"transport" sinks:"syslog" enum:"udp,tcp,tls" doc:"Transport of syslog; tcp by default."`
	Facility  string  `yaml:"facility" sinks:"syslog" doc:"Facility of syslog; local0 by default."`

	URL     URL               `yaml:"url" sinks:"webhook,alertmanager" doc:"URL."`
	Headers map[string]string `yaml:"headers" sinks:"webhook,alertmanager" doc:"Further headers; a value may be a secret."`
	Secret  Secret            `yaml:"secret" sinks:"webhook" doc:"Key of the signature."`

	Endpoint     URL    `yaml:"endpoint" sinks:"azureLogs" doc:"Data collection endpoint."`
	Rule         string `yaml:"rule" sinks:"azureLogs" doc:"Immutable id of the data collection rule."`
	Stream       string `yaml:"stream" sinks:"azureLogs" doc:"Stream."`
	Tenant       string `yaml:"tenant" sinks:"azureLogs" doc:"Tenant."`
	ClientID     string `yaml:"clientId" sinks:"azureLogs" doc:"Client id."`
	ClientSecret Secret `yaml:"clientSecret" sinks:"azureLogs" doc:"Client secret."`
	Authority    URL    `yaml:"authority" sinks:"azureLogs" doc:"Authority; https://login.microsoftonline.com by default."`
	Gzip         *bool  `yaml:"gzip" sinks:"azureLogs" doc:"Compress; true by default."`

	Security      string   `yaml:"security" sinks:"smtp" enum:"starttls,tls,none" doc:"Security of SMTP; starttls by default."`
	Username      string   `yaml:"username" sinks:"smtp" doc:"User name."`
	Password      Secret   `yaml:"password" sinks:"smtp" doc:"Password."`
	SenderAddress string   `yaml:"senderAddress" sinks:"smtp" doc:"Sender."`
	Recipients    []string `yaml:"recipients" sinks:"smtp" doc:"Recipients."`
	Interval      Duration `yaml:"interval" sinks:"smtp" doc:"One message holds everything of this time; 1m by default."`

	Path    Path `yaml:"path" sinks:"file" doc:"File."`
	MaxSize Size `yaml:"maxSize" sinks:"file" doc:"Size at which the file is rotated; 100MiB by default."`
	Keep    int  `yaml:"keep" sinks:"file" min:"0" doc:"Rotated files kept; 10 by default."`
}

func (s *Sink) setDefaults() {
	s.Samples, s.Lang, s.From = true, "en", "now"
	s.Timeout, s.RetryMin, s.RetryMax = 10*second, Duration(500e6), minute
}

// sinkType holds what the validity of a sink depends on.
type sinkType struct {
	encodings []string // the first is the default; nil means none applies
	required  []string
}

func sinkTypes() map[string]sinkType {
	return map[string]sinkType{
		"kafka":        {[]string{"defender", "securityAlert", "ocsf", "ecs", "cef", "weir"}, []string{"brokers", "topic"}},
		"syslog":       {[]string{"cef", "defender", "securityAlert", "ocsf", "ecs", "weir"}, []string{"address"}},
		"webhook":      {[]string{"weir", "defender", "securityAlert", "ocsf", "ecs"}, []string{"url"}},
		"azureLogs":    {[]string{"securityAlert", "ocsf", "weir"}, []string{"endpoint", "rule", "stream", "tenant", "clientId", "clientSecret"}},
		"smtp":         {nil, []string{"address", "senderAddress", "recipients"}},
		"file":         {[]string{"weir", "defender", "securityAlert", "ocsf", "ecs", "cef"}, []string{"path"}},
		"alertmanager": {nil, []string{"url"}},
	}
}
