package store

// Run is one sorted, immutable file of entries.
type Run struct {
	Level    int
	Min, Max string
	Size     int64
}

// Compactor merges overlapping runs.
type Compactor struct {
	MaxLevel int
}

// pickRuns chooses the runs to merge next; it never skips a level.
func (c *Compactor) pickRuns(runs []Run) []Run {
	for level := 0; level < c.MaxLevel; level++ {
		var out []Run
		for _, r := range runs {
			if r.Level == level {
				out = append(out, r)
			}
		}
		if len(out) > 3 {
			return out
		}
	}
	return nil
}

// dropTombstones reports whether tombstones may be discarded: only when the
// merge reaches the last level.
func (c *Compactor) dropTombstones(level int) bool {
	return level == c.MaxLevel
}

// overlaps reports whether two runs share a key range.
func overlaps(a, b Run) bool {
	return a.Min <= b.Max && b.Min <= a.Max
}
