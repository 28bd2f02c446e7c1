package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weir": main})
}

func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Log("the scripts start many processes; -short leaves them out")
		return
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, "state"))
			e.Setenv("LANG", "C")
			e.Setenv("DEMO", filepath.Join(root, "demo"))
			return nil
		},
		Cmds: commands(),
	})
}

// commands are the words of the scripts beside the built-in ones.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		// code N COMMAND...: runs a command that must end with that exit code.
		"code": func(ts *testscript.TestScript, _ bool, args []string) {
			if len(args) < 2 {
				ts.Fatalf("usage: code N COMMAND...")
			}
			err := ts.Exec(args[1], args[2:]...)
			got := "0"
			if err != nil {
				got = exitText(err)
			}
			if got != args[0] {
				ts.Fatalf("exit code %s, want %s", got, args[0])
			}
		},
		// waitfor FILE: waits until a file is there and not empty.
		"waitfor": func(ts *testscript.TestScript, _ bool, args []string) {
			if !waitForFile(ts.MkAbs(args[0])) {
				ts.Fatalf("%s did not appear", args[0])
			}
		},
		// address FILE KEY NAME: takes an address out of the log of a server.
		"address": func(ts *testscript.TestScript, _ bool, args []string) {
			v, err := addressIn(ts.MkAbs(args[0]), args[1])
			ts.Check(err)
			ts.Setenv(args[2], v)
		},
		// count N FILE: the file has that many lines.
		"count": func(ts *testscript.TestScript, _ bool, args []string) {
			if n := lines(ts.ReadFile(args[1])); n != args[0] {
				ts.Fatalf("%s has %s lines, want %s", args[1], n, args[0])
			}
		},
		// play URL: sends the demo's recording to a NetFlow address.
		"play": func(ts *testscript.TestScript, _ bool, args []string) {
			ts.Check(playDemo(os.DirFS(ts.Getenv("DEMO")), args[0]))
		},
	}
}
