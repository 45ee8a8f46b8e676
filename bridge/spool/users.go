package spool

import "sync"

// users counts the calls that read or change the store, so that Close can wait
// for them: Pebble panics when it is used after its Close.
type users struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

// enter is false once close was called, also for a call made inside another's
// callback, so that close cannot wait for itself.
func (u *users) enter() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return false
	}
	u.inside.Add(1)
	return true
}

func (u *users) leave() { u.inside.Done() }

// close turns newcomers away. It does not wait.
func (u *users) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
}

// wait returns when those inside have left; close must have been called.
func (u *users) wait() { u.inside.Wait() }
