package main

import (
	"runtime/debug"
	"runtime/metrics"
)

// How much garbage may lie around, in bytes: twice of what lives, between these. A render lives for milliseconds and leaves all of its
// memory behind; a fresh worker would collect after every other one, and one that keeps much would take more memory than is there.
// It is given back when the worker is idle.
const (
	leastGarbage = 24 << 20
	mostGarbage  = 64 << 20
)

// allowance makes the collector's percentage of a number of bytes.
type allowance struct{ percent int }

// adjust follows what lives. Changing the percentage stops the world: only a change of some size is worth that.
func (a *allowance) adjust() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return
	}
	percent := percentFor(sample[0].Value.Uint64())
	if difference := percent - a.percent; difference > a.percent/8 || -difference > a.percent/8 {
		debug.SetGCPercent(percent)
		a.percent = percent
	}
}

func percentFor(live uint64) int {
	live = max(live, 1<<20)
	return int(min(max(2*live, leastGarbage), mostGarbage) * 100 / live)
}
