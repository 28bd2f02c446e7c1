package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/engine"
)

func (a *app) flowsCommand() *cobra.Command {
	var in inputFlags
	c := &cobra.Command{
		Use:   "flows [flags] FILE...",
		Short: "Decode anything to one JSON object per flow record",
		Long: `Flows decodes its inputs and prints one object per flow record: as observed,
never scaled for sampling. '-' reads standard input.`,
		Example: `  weir flows export.pcap.gz
  weir flows -o csv --columns start,src,dst,dstPort,packets flows.ipfix`,
		Args: usageArgs(cobra.MinimumNArgs(1), "flows FILE..."),
	}
	in.add(c, false)
	a.setFlag(c.Flags())
	c.RunE = a.do(func(ctx context.Context, args []string) error { return a.flows(ctx, args, &in) })
	return c
}

func (a *app) flows(ctx context.Context, files []string, in *inputFlags) error {
	loaded, err := a.load()
	if err != nil {
		return err
	}
	format, err := in.parsedFormat()
	if err != nil {
		return err
	}
	r, err := engine.NewFlowReader(engine.Offline{Config: &loaded.Config, Files: files, Format: format, Sampling: in.sampling, Thin: in.thin, Seed: in.seed})
	if err != nil {
		return fileProblem(err)
	}
	stop := a.progress(func() (engine.Progress, string) {
		p := r.Progress()
		return p, plural(p.Flows, "flow")
	})
	defer stop()
	write, finish, err := a.flowWriter()
	if err != nil {
		return err
	}
	rateless, all := int64(0), int64(0)
	runErr := r.Run(ctx, func(b weir.Batch) error {
		for i := range b.Flows {
			if b.Flows[i].Sampling == 0 {
				rateless++
			}
		}
		all += int64(len(b.Flows))
		return write(b.Flows)
	})
	stop()
	if err := finish(); err != nil {
		return err
	}
	if runErr != nil {
		return fileProblem(runErr)
	}
	partial := a.tellFiles(r.Report())
	if rateless > 0 {
		a.note("%s of %d without a known sampling rate: --sampling N tells it (1 if nothing is sampled)", plural(rateless, "flow"), all)
	}
	if partial {
		return &exitError{code: exitPartial}
	}
	return nil
}

// flowWriter writes flows in the chosen format. NDJSON and CSV with all fields
// take the short way.
func (a *app) flowWriter() (write func([]weir.Flow) error, finish func() error, err error) {
	if (a.output == "ndjson" || a.output == "csv") && len(a.columns) == 0 {
		w, err := engine.NewFlowWriter(a.out, a.output == "csv")
		if err != nil {
			return nil, nil, err
		}
		return w.Write, w.Flush, nil
	}
	out, err := newList(a, flowColumns())
	if err != nil {
		return nil, nil, err
	}
	var buf bytes.Buffer
	w, err := engine.NewFlowWriter(&buf, false)
	if err != nil {
		return nil, nil, err
	}
	return func(flows []weir.Flow) error {
		for i := range flows {
			buf.Reset()
			if err := w.Write(flows[i : i+1]); err != nil {
				return err
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if err := out.add(&flowRow{raw: bytes.Clone(bytes.TrimSpace(buf.Bytes()))}); err != nil {
				return err
			}
		}
		return nil
	}, out.close, nil
}

// flowRow is one flow as an encoded object.
type flowRow struct {
	raw    json.RawMessage
	fields map[string]any
}

// MarshalJSON implements json.Marshaler.
func (r flowRow) MarshalJSON() ([]byte, error) { return r.raw, nil }

func flowColumns() []column[*flowRow] {
	var out []column[*flowRow]
	for _, c := range []struct {
		name string
		wide bool
	}{
		{"start", false}, {"end", true}, {"src", false}, {"srcPort", false}, {"dst", false}, {"dstPort", false}, {"proto", false},
		{"tcpFlags", true}, {"packets", false}, {"bytes", false}, {"revPackets", true}, {"revBytes", true}, {"initiator", true},
		{"sampling", true}, {"samplingSource", true}, {"action", true}, {"exporter", true}, {"inputIf", true}, {"outputIf", true},
		{"vlan", true}, {"format", true},
	} {
		out = append(out, column[*flowRow]{name: c.name, wide: c.wide, text: func(r *flowRow) string { return r.text(c.name) }})
	}
	return out
}

func (r *flowRow) text(name string) string {
	if r.fields == nil {
		d := json.NewDecoder(bytes.NewReader(r.raw))
		d.UseNumber()
		if d.Decode(&r.fields) != nil {
			r.fields = map[string]any{}
		}
	}
	v, ok := r.fields[name]
	if !ok {
		return ""
	}
	return fmt.Sprint(v)
}
