// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sort"

	"lastro"
)

// A stat cache's file is a head of 16 bytes and records of 88, sorted by key,
// numbers little-endian: key 16, inode 8, size 8, mtime 8, ctime 8, digest 32,
// day 4, CRC-32C of all before it 4.
const (
	statHead = "lastro-stat/1\n\x00\x00"
	statSize = 88
)

// statKey is the first half of the SHA-256 of a path.
type statKey [16]byte

func keyOf(path string) statKey {
	sum := sha256.Sum256([]byte(path))
	return statKey(sum[:16])
}

type statRecord struct {
	stat fileStat
	sum  [32]byte
	day  uint32 // of the last use, since 1970; entries unused for long are dropped
}

func newRecord(st fileStat, d lastro.Digest, day uint32) statRecord {
	r := statRecord{stat: st, day: day}
	_, _ = hex.Decode(r.sum[:], []byte(d.Hex()))
	return r
}

func (r statRecord) digest() lastro.Digest {
	return lastro.Digest("sha256:" + hex.EncodeToString(r.sum[:]))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (r statRecord) append(b []byte, key statKey) []byte {
	start := len(b)
	b = append(b, key[:]...)
	for _, n := range []uint64{r.stat.Inode, uint64(r.stat.Size), uint64(r.stat.Mtime), uint64(r.stat.Ctime)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = append(b, r.sum[:]...)
	b = binary.LittleEndian.AppendUint32(b, r.day)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseRecord reads a record; ok is false for a damaged one.
func parseRecord(b []byte) (r statRecord, ok bool) {
	le := binary.LittleEndian
	r.stat = fileStat{Inode: le.Uint64(b[16:]), Size: int64(le.Uint64(b[24:])), Mtime: int64(le.Uint64(b[32:])), Ctime: int64(le.Uint64(b[40:]))}
	r.sum = [32]byte(b[48:80])
	r.day = le.Uint32(b[80:])
	return r, le.Uint32(b[84:]) == crc32.Checksum(b[:84], castagnoli)
}

// statFile is a saved cache, mapped into memory. An empty one has no bytes.
type statFile struct {
	mapped  []byte
	records []byte
}

func openStatFile(path string) *statFile {
	f, err := os.Open(path)
	if err != nil {
		return &statFile{}
	}
	defer f.Close()
	b, err := mapFile(f)
	if err != nil || len(b) < len(statHead) || string(b[:len(statHead)]) != statHead {
		unmapFile(b)
		return &statFile{}
	}
	records := b[len(statHead):]
	return &statFile{mapped: b, records: records[:len(records)/statSize*statSize]}
}

func (f *statFile) close() {
	unmapFile(f.mapped)
	f.mapped, f.records = nil, nil
}

func (f *statFile) count() int { return len(f.records) / statSize }

func (f *statFile) at(i int) []byte { return f.records[i*statSize : (i+1)*statSize] }

// find looks a record up.
func (f *statFile) find(key statKey) (r statRecord, ok bool) {
	defer guardFault(&ok)()
	i := sort.Search(f.count(), func(i int) bool { return bytes.Compare(f.at(i)[:16], key[:]) >= 0 })
	if i == f.count() || statKey(f.at(i)[:16]) != key {
		return r, false
	}
	return parseRecord(f.at(i))
}

// guardFault turns the fault that follows when somebody cut a mapped file
// short into "not known".
func guardFault(ok *bool) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if fault := recover(); fault != nil {
			if _, isFault := fault.(interface{ Addr() uintptr }); !isFault {
				panic(fault)
			}
			*ok = false
		}
	}
}

// merge writes the records of f that were used since the day oldest and those
// of newer, which win, to path.
func (f *statFile) merge(path string, newer map[statKey]statRecord, oldest uint32) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".stat-")
	if err != nil {
		return fmt.Errorf("save the stat cache: %w", err)
	}
	defer os.Remove(temp.Name())
	w := bufio.NewWriterSize(temp, 1<<20)
	ok := true
	err = func() error {
		defer guardFault(&ok)()
		return f.mergeTo(w, newer, oldest)
	}()
	if !ok {
		err = fmt.Errorf("save the stat cache: its file was cut short")
	}
	if err == nil {
		err = w.Flush()
	}
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	return err
}

func (f *statFile) mergeTo(w io.Writer, newer map[statKey]statRecord, oldest uint32) error {
	keys := slices.SortedFunc(maps.Keys(newer), func(a, b statKey) int { return bytes.Compare(a[:], b[:]) })
	if _, err := io.WriteString(w, statHead); err != nil {
		return err
	}
	var buf []byte
	add := func(key statKey) error {
		buf = newer[key].append(buf[:0], key)
		_, err := w.Write(buf)
		return err
	}
	next := 0
	for i := range f.count() {
		b := f.at(i)
		key := statKey(b[:16])
		for next < len(keys) && bytes.Compare(keys[next][:], key[:]) < 0 {
			if err := add(keys[next]); err != nil {
				return err
			}
			next++
		}
		if _, again := newer[key]; again {
			continue
		}
		if r, ok := parseRecord(b); !ok || r.day < oldest {
			continue
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	for ; next < len(keys); next++ {
		if err := add(keys[next]); err != nil {
			return err
		}
	}
	return nil
}
