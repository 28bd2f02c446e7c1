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
		total = -1
	}
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.err), progressbar.OptionShowBytes(true), progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetWidth(20), progressbar.OptionThrottle(drawEvery), progressbar.OptionClearOnFinish(),
		progressbar.OptionEnableColorCodes(false), progressbar.OptionUseANSICodes(true))
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		p, text := state()
		bar.Describe(fmt.Sprintf("%s flows/s, %s", count(float64(p.Flows)/time.Since(begun).Seconds()), text))
		_ = bar.Set64(min(p.Bytes, max(p.Total-1, p.Bytes*boolInt(p.Total == 0))))
		select {
		case <-done:
			_ = bar.Clear()
			return
		case <-tick.C:
		}
	}
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
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
		share, left := "", ""
		if p.Total > 0 && p.Bytes > 0 {
			f := float64(p.Bytes) / float64(p.Total)
			share = fmt.Sprintf("%.0f %%, ", 100*f)
			left = fmt.Sprintf(", about %s left", time.Duration(float64(time.Since(begun))*(1-f)/f).Round(time.Second))
		}
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
