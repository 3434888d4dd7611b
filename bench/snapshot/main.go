// SPDX-License-Identifier: Apache-2.0

// Command snapshot measures how long storing a folder takes beside the least
// that could be done: hashing the files while copying them, and one syncfs. It
// prints one JSON object; bench.py turns it into rows.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lastro"
	"lastro/blob/file"
	"lastro/source"
)

func main() {
	bytes := flag.Int64("bytes", 2<<30, "of all files together")
	files := flag.Int("files", 1, "number of files")
	folder := flag.String("folder", "", "where to work; it is emptied")
	plain := flag.Bool("plain", false, "hash while copying instead of storing")
	prepare := flag.Bool("prepare", false, "only write the files")
	flag.Parse()
	if err := run(*folder, *bytes, *files, *plain, *prepare); err != nil {
		fmt.Fprintln(os.Stderr, "snapshot:", err)
		os.Exit(1)
	}
}

func run(folder string, bytes int64, files int, plain, prepare bool) error {
	data := filepath.Join(folder, "data")
	if prepare {
		return write(data, bytes, files)
	}
	out := map[string]float64{}
	if plain {
		dest := filepath.Join(folder, "plain")
		defer os.RemoveAll(dest)
		took, err := timed(func() error { return hashWhileCopying(data, dest) })
		out["plain"] = took
		return errorOr(err, out)
	}
	dest := filepath.Join(folder, "store")
	defer os.RemoveAll(dest)
	store, err := file.Open(dest)
	if err != nil {
		return err
	}
	cache := filepath.Join(folder, "stat-cache")
	defer os.Remove(cache)
	known := source.OpenStatCache(cache)
	var first lastro.Digest
	if out["cold"], err = timed(func() (err error) {
		first, _, err = store.PutTree(context.Background(), data, known)
		return err
	}); err != nil {
		return err
	}
	out["save"], err = timed(known.Save)
	if err != nil {
		return err
	}
	out["unchanged"], err = timed(func() error { // as a new process would
		again, _, err := store.PutTree(context.Background(), data, source.OpenStatCache(cache))
		if again != first {
			return fmt.Errorf("digests differ: %s, %s", first, again)
		}
		return err
	})
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	out["rss_mb"] = float64(use.Maxrss) / 1024
	return errorOr(err, out)
}

func errorOr(err error, out map[string]float64) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func timed(fn func() error) (ms float64, err error) {
	runtime.GC()
	began := time.Now()
	err = fn()
	return float64(time.Since(began).Microseconds()) / 1000, err
}

// write makes files of different content, 1,000 to a folder.
func write(dir string, bytes int64, files int) error {
	size := int(bytes / int64(files))
	buf := make([]byte, 1<<20)
	seed := uint64(88172645463325252)
	for i := range files {
		sub := filepath.Join(dir, fmt.Sprint(i/1000))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(sub, fmt.Sprintf("%06d.bin", i)))
		if err != nil {
			return err
		}
		for left := size; left > 0; {
			n := min(left, len(buf))
			for j := 0; j+8 <= n; j += 8 { // xorshift64
				seed ^= seed << 13
				seed ^= seed >> 7
				seed ^= seed << 17
				for k := range 8 {
					buf[j+k] = byte(seed >> (8 * k))
				}
			}
			if _, err := f.Write(buf[:n]); err != nil {
				return err
			}
			left -= n
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	unix.Sync()
	return nil
}

// hashWhileCopying is what any snapshot has to do.
func hashWhileCopying(from, to string) error {
	err := filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		dest := filepath.Join(to, rel)
		if e.IsDir() {
			return os.MkdirAll(dest, 0o755)
		}
		return hashCopy(p, dest)
	})
	if err != nil {
		return err
	}
	f, err := os.Open(to)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

func hashCopy(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(out, lastro.NewHasher())}, struct{ io.Reader }{in}, make([]byte, 1<<20))
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
