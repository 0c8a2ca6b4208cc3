package src

import (
	"errors"
	"unicode/utf8"
)

const maxKeyLen = 512

// checkKey rejects keys the on-disk format cannot hold.
func checkKey(k string) error {
	switch {
	case k == "":
		return errors.New("empty key")
	case len(k) > maxKeyLen:
		return errors.New("key too long")
	case !utf8.ValidString(k):
		return errors.New("key is not UTF-8")
	}
	return nil
}

// namespaceOf is everything before the first slash.
func namespaceOf(k string) string {
	for i := range k {
		if k[i] == '/' {
			return k[:i]
		}
	}
	return ""
}

// sameNamespace reports whether a batch stays inside one namespace.
func sameNamespace(keys []string) bool {
	for _, k := range keys {
		if namespaceOf(k) != namespaceOf(keys[0]) {
			return false
		}
	}
	return true
}
