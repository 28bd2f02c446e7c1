package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/weir-net/weir/internal/engine"
)

// Times of the progress: nothing before showAfter, a plain line every lineEvery
// where standard error is no terminal.
const (
	showAfter = time.Second
	drawEvery = 150 * time.Millisecond
	lineEvery = 10 * time.Second
)

// progress tells how far the work is until the returned function is called.
// state gives the progress of the input and what to say behind it.
func (a *app) progress(state func() (engine.Progress, string)) (stop func()) {
	if a.quiet {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if a.errTTY {
			a.bar(state, done)
		} else {
			a.lines(state, done)
		}
	})
	var once sync.Once
	return func() { once.Do(func() { close(done); wg.Wait() }) }
}

// bar draws share, rate and time left on a terminal. The rates are those of
// the whole run: the bar appears after a second of work.
func (a *app) bar(state func() (engine.Progress, string), done <-chan struct{}) {
	begun := time.Now()
	select {
	case <-done:
		return
	case <-time.After(showAfter):
	}
	p, _ := state()
	total := p.Total
	if total == 0 {
		total = -1 // standard input: nobody knows
	}
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.err), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetWidth(20), progressbar.OptionThrottle(drawEvery/2), progressbar.OptionUseANSICodes(true))
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		p, text := state()
		_, left := estimate(p, time.Since(begun))
		bar.Describe(fmt.Sprintf("%s flows/s, %s%s", count(float64(p.Flows)/time.Since(begun).Seconds()), text, left))
		if total > 0 {
			// A full bar would finish: the last byte is drawn by nobody.
			_ = bar.Set64(min(p.Bytes, total-1))
		} else {
			_ = bar.Add64(1)
		}
		select {
		case <-done:
			_ = bar.Clear()
			return
		case <-tick.C:
		}
	}
}

// estimate returns the share that is done and the time that is left, empty
// where they are not known.
func estimate(p engine.Progress, took time.Duration) (share, left string) {
	if p.Total <= 0 || p.Bytes <= 0 {
		return "", ""
	}
	f := min(float64(p.Bytes)/float64(p.Total), 1)
	return fmt.Sprintf("%.0f %%, ", 100*f), fmt.Sprintf(", about %s left", time.Duration(float64(took)*(1-f)/f).Round(time.Second))
}

func (a *app) lines(state func() (engine.Progress, string), done <-chan struct{}) {
	begun := time.Now()
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		p, text := state()
		share, left := estimate(p, time.Since(begun))
		a.note("%s%s flows, %s flows/s, %s%s", share, count(float64(p.Flows)), count(float64(p.Flows)/time.Since(begun).Seconds()), text, left)
	}
}

// count writes a number in three digits.
func count(x float64) string {
	switch {
	case x >= 1e9:
		return fmt.Sprintf("%.1f G", x/1e9)
	case x >= 1e6:
		return fmt.Sprintf("%.1f M", x/1e6)
	case x >= 1e4:
		return fmt.Sprintf("%.0f k", x/1e3)
	}
	return fmt.Sprintf("%.0f", x)
}
