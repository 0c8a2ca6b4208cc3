// Package wal is the write-ahead log.
package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"sync"
)

// MaxRecord is the largest payload a single record may carry.
const MaxRecord = 1 << 20

// ErrSealed is returned when a sealed segment is written to.
var ErrSealed = errors.New("wal: segment is sealed")

// ErrTooLarge is returned for payloads above MaxRecord.
var ErrTooLarge = errors.New("wal: record too large")

// Writer appends records to the current segment.
type Writer struct {
	mu     sync.Mutex
	f      *os.File
	lsn    uint64
	sealed bool
	size   int64
}

// NewWriter starts writing at the given sequence number.
func NewWriter(f *os.File, lsn uint64) *Writer {
	return &Writer{f: f, lsn: lsn}
}

// Append writes one record and returns its sequence number.
func (w *Writer) Append(p []byte) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed {
		return 0, ErrSealed
	}
	if len(p) > MaxRecord {
		return 0, ErrTooLarge
	}
	w.lsn++
	var h [16]byte
	binary.LittleEndian.PutUint32(h[0:], uint32(len(p)))
	binary.LittleEndian.PutUint32(h[4:], crc32.ChecksumIEEE(p))
	binary.LittleEndian.PutUint64(h[8:], w.lsn)
	if _, err := w.f.Write(append(h[:], p...)); err != nil {
		return 0, err
	}
	w.size += int64(len(h) + len(p))
	return w.lsn, nil
}

// Sync forces the segment to stable storage.
func (w *Writer) Sync() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.f.Sync()
}

// rotateSegment seals the current segment and opens the next one.
func (w *Writer) rotateSegment(next *os.File) error {
	if err := w.Sync(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.f, w.size = next, 0
	return nil
}
