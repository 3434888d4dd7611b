// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"path"
	"path/filepath"
	"strconv"

	"lastro"
)

// ManifestWriter writes a tree's manifest entry by entry, in the bytes of
// EncodeTree. Entries come sorted by path.
type ManifestWriter struct {
	w    io.Writer
	buf  []byte
	some bool
}

// NewManifestWriter writes to w.
func NewManifestWriter(w io.Writer) *ManifestWriter {
	return &ManifestWriter{w: w, buf: append(make([]byte, 0, 512), TreeMagic+"["...)}
}

// Add appends an entry.
func (m *ManifestWriter) Add(e Entry) error {
	if m.some {
		m.buf = append(m.buf, ',')
	}
	m.some = true
	m.buf = appendEntry(m.buf, e)
	_, err := m.w.Write(m.buf)
	m.buf = m.buf[:0]
	return err
}

// End writes what is left.
func (m *ManifestWriter) End() error {
	_, err := m.w.Write(append(m.buf, ']'))
	return err
}

// appendEntry is lastro.CanonicalJSON of an entry: keys sorted, empty ones left out.
func appendEntry(b []byte, e Entry) []byte {
	b = append(b, '{')
	if e.Digest != "" {
		b = append(appendString(append(b, `"digest":`...), string(e.Digest)), ',')
	}
	if e.Dir {
		b = append(b, `"dir":true,`...)
	}
	if e.Exec {
		b = append(b, `"exec":true,`...)
	}
	b = appendString(append(b, `"path":`...), e.Path)
	if e.Size != 0 {
		b = strconv.AppendInt(append(b, `,"size":`...), e.Size, 10)
	}
	return append(b, '}')
}

// appendString quotes plain text itself and leaves anything else to CanonicalJSON.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, err := lastro.CanonicalJSON(s)
			if err != nil {
				panic(err) // a string can always be encoded
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// IsTree reports whether content that begins with head is a manifest.
func IsTree(head []byte) bool {
	return len(head) >= len(TreeMagic) && string(head[:len(TreeMagic)]) == TreeMagic
}

// EachEntry reads a manifest and calls fn for its entries, in memory that does
// not grow with their number. A manifest is data from outside: paths that
// leave the tree, are not clean or come twice are ETampered. The content of a
// file is EInvalid.
func EachEntry(manifest io.Reader, fn func(Entry) error) error {
	r := bufio.NewReaderSize(manifest, 64<<10)
	head, err := r.Peek(len(TreeMagic))
	if !IsTree(head) {
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return lastro.Errorf(lastro.EInvalid, "this digest names a file, not a folder")
	}
	_, _ = r.Discard(len(TreeMagic))
	dec := json.NewDecoder(r)
	if begin, err := dec.Token(); err != nil {
		return unreadable(err)
	} else if begin != json.Delim('[') {
		return unreadable(errors.New("it is no list"))
	}
	last := ""
	for dec.More() {
		var e Entry
		if err := dec.Decode(&e); err != nil {
			return unreadable(err)
		}
		if err := e.check(last); err != nil {
			return err
		}
		last = e.Path
		if err := fn(e); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return unreadable(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // to the end, where the bytes are verified
		return unreadable(err)
	}
	return nil
}

// unreadable keeps what a verifying reader said.
func unreadable(err error) error {
	var known *lastro.Error
	if errors.As(err, &known) {
		return err
	}
	return lastro.Errorf(lastro.ETampered, "a folder's manifest cannot be read: %w", err)
}

// check refuses an entry that no folder could hold after the path last.
func (e Entry) check(last string) error {
	local := e.Path != "." && path.Clean(e.Path) == e.Path && filepath.IsLocal(filepath.FromSlash(e.Path))
	if !local || last != "" && last >= e.Path {
		return lastro.Errorf(lastro.ETampered, "a folder's manifest names %q, which no folder can hold", e.Path)
	}
	if _, err := lastro.ParseDigest(string(e.Digest)); err != nil && !e.Dir {
		return lastro.Errorf(lastro.ETampered, "a folder's manifest has no digest for %q", e.Path)
	}
	return nil
}
