package wal

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
)

// Replay calls fn for every valid record in order and stops at the first
// record whose length or checksum does not match.
func Replay(f *os.File, fn func(lsn uint64, p []byte) error) (int64, error) {
	var off int64
	var h [16]byte
	for {
		if _, err := io.ReadFull(f, h[:]); err != nil {
			return off, truncateTail(f, off)
		}
		n := binary.LittleEndian.Uint32(h[0:])
		if n > MaxRecord {
			return off, truncateTail(f, off)
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(f, p); err != nil {
			return off, truncateTail(f, off)
		}
		if crc32.ChecksumIEEE(p) != binary.LittleEndian.Uint32(h[4:]) {
			return off, truncateTail(f, off)
		}
		if err := fn(binary.LittleEndian.Uint64(h[8:]), p); err != nil {
			return off, err
		}
		off += int64(len(h)) + int64(n)
	}
}

// truncateTail cuts everything after the last good record.
func truncateTail(f *os.File, off int64) error {
	return f.Truncate(off)
}
