package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = ""

// build describes this binary.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Time    string `json:"time,omitempty"`
	Dirty   bool   `json:"dirty,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func buildInfo() build {
	b := build{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: usageArgs(cobra.NoArgs, "version"), ValidArgsFunction: noFiles,
		Example: "  weir version -o json",
		RunE: a.do(func(context.Context, []string) error {
			b := buildInfo()
			return a.document(b, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "weir %s (%s, %s/%s)\n", b.Version, b.Go, b.OS, b.Arch)
				return err
			})
		}),
	}
}

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "pwsh"}
	return &cobra.Command{
		Use: "completion SHELL", Short: "Print the completion script of a shell: bash, zsh, fish or pwsh",
		Example:   "  weir completion bash > /etc/bash_completion.d/weir\n  weir completion zsh > \"${fpath[1]}/_weir\"",
		ValidArgs: append(shells, "powershell"), Args: usageArgs(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), "completion bash|zsh|fish|pwsh"),
		RunE: a.do(func(_ context.Context, args []string) error {
			switch args[0] {
			case "bash":
				return a.root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return a.root.GenZshCompletion(a.out)
			case "fish":
				return a.root.GenFishCompletion(a.out, true)
			}
			return a.root.GenPowerShellCompletionWithDesc(a.out)
		}),
	}
}

func (a *app) manCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "man [COMMAND...]", Short: "Print a man page, or write all of them",
		Long: `Man prints the man page of weir or of one of its commands in roff; with --dir it
writes the pages of all commands.`,
		Example: "  weir man detect | man -l -\n  weir man --dir /usr/local/share/man/man1",
		RunE: a.do(func(_ context.Context, args []string) error {
			header := &doc.GenManHeader{Title: "WEIR", Section: "1", Source: "Weir " + buildInfo().Version, Manual: "Weir"}
			a.root.DisableAutoGenTag = true
			if dir == "" {
				cmd, rest, err := a.root.Find(args)
				if err != nil || len(rest) > 0 {
					return exit(exitNotFound, "no command %q: 'weir --help' lists them", args)
				}
				return doc.GenMan(cmd, header, a.out)
			}
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // man pages are for everyone
				return fmt.Errorf("write the man pages: %w", err)
			}
			if err := doc.GenManTree(a.root, header, dir); err != nil {
				return fmt.Errorf("write the man pages: %w", err)
			}
			pages, err := filepath.Glob(filepath.Join(dir, "weir*.1"))
			a.note("wrote %d man pages to %s", len(pages), dir)
			return err
		}),
	}
	c.Flags().StringVar(&dir, "dir", "", "write the pages of all commands to `DIR`")
	return c
}
