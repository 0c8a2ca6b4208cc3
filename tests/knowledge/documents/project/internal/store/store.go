// Package store is the key-value layer on top of the log.
package store

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// ErrNotFound is returned by Get for missing and deleted keys.
var ErrNotFound = errors.New("store: not found")

// ErrLocked is returned by Open when another process holds the directory.
var ErrLocked = errors.New("store: directory is locked")

type entry struct {
	val  []byte
	tomb bool
}

// Store is an open data directory.
type Store struct {
	mu   sync.RWMutex
	dir  string
	mem  map[string]entry
	lock *os.File
}

// Open locks the directory and recovers its state.
func Open(dir string) (*Store, error) {
	l, err := acquireLock(dir)
	if err != nil {
		return nil, err
	}
	return &Store{dir: dir, mem: map[string]entry{}, lock: l}, nil
}

// acquireLock takes the LOCK file or fails.
func acquireLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, ErrLocked
	}
	return f, nil
}

// Get returns a copy of the value of key.
func (s *Store) Get(key string) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.mem[key]
	if !ok || e.tomb {
		return nil, ErrNotFound
	}
	return append([]byte(nil), e.val...), nil
}

// Put stores a copy of val under key.
func (s *Store) Put(key string, val []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mem[key] = entry{val: append([]byte(nil), val...)}
	return nil
}

// Delete writes a tombstone for key.
func (s *Store) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mem[key] = entry{tomb: true}
	return nil
}

// Close releases the lock.
func (s *Store) Close() error {
	name := s.lock.Name()
	if err := s.lock.Close(); err != nil {
		return err
	}
	return os.Remove(name)
}
