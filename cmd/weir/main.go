// Weir is the command line of the threat detector: it reads flags, writes to
// the terminal and knows the exit codes. Everything else is the engine's.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run runs one command and returns its exit code. The first signal ends the
// command in order, a second one at once.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return newApp(os.Stdin, os.Stdout, os.Stderr, os.Environ()).execute(ctx, args)
}
