package spool

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestStoreErrorsAreNotLoggedWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		store := &storeLogger{log: log.logger()}
		for range 1000 {
			store.Errorf("compaction failed: %d", 7)
		}
		if n := log.count("compaction failed: 7"); n != 1 {
			t.Errorf("%d lines for a thousand errors at once", n)
		}
		time.Sleep(warnEvery)
		store.Errorf("compaction failed: %d", 8)
		if log.count("compaction failed: 8") != 1 || log.count("errors_not_logged=999") != 1 {
			t.Errorf("log after a while:\n%s", &log)
		}
	})
}

func TestStoreChatterIsForDebugging(t *testing.T) {
	var log logbook
	(&storeLogger{log: log.logger()}).Infof("flushed %d", 7)
	if log.String() != "" {
		t.Errorf("logged at info: %s", &log)
	}
}
