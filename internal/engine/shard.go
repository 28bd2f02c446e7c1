package engine

import (
	"sync"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/detect"
)

// shard is one detector, with a goroutine of its own where there are several.
type shard struct {
	detector *detect.Detector
	found    []weir.Finding
	queue    []weir.Contact // for the goroutine, less than handAt
	work     chan job
	free     chan []weir.Contact
	done     sync.WaitGroup
}

// job is work for the goroutine of a shard: contacts, or something else.
type job struct {
	contacts []weir.Contact
	fn       func()
}

const (
	// handAt is the number of contacts that a shard with a goroutine takes at once.
	// A pane is at work for much longer than they take to gather.
	handAt = 512
	// handed is the number of jobs that may wait for a shard.
	handed = 8
)

func (s *shard) start() {
	// Every batch fits: those that wait, the one at work, and the queue.
	s.work, s.free = make(chan job, handed), make(chan []weir.Contact, handed+2)
	s.done.Go(func() {
		for j := range s.work {
			if j.fn != nil {
				j.fn()
				continue
			}
			s.detector.Observe(j.contacts)
			s.free <- j.contacts[:0]
		}
	})
}

// put takes a contact for the goroutine.
func (s *shard) put(c *weir.Contact) {
	if s.queue == nil {
		select {
		case s.queue = <-s.free:
		default:
			s.queue = make([]weir.Contact, 0, handAt)
		}
	}
	if s.queue = append(s.queue, *c); len(s.queue) == handAt {
		s.hand()
	}
}

// hand passes the queue to the goroutine.
func (s *shard) hand() {
	if len(s.queue) > 0 {
		s.work <- job{contacts: s.queue}
		s.queue = nil
	}
}

func (s *shard) keep(f weir.Finding) { s.found = append(s.found, f) }

func (s *shard) stop() {
	if s.work != nil {
		close(s.work)
		s.done.Wait()
		s.work = nil
	}
}
