// SPDX-License-Identifier: Apache-2.0

package lastro_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite NOTICE and THIRD-PARTY-LICENSES")

// module is a dependency that ends up in the binary.
type module struct{ Path, Version, Dir string }

// platform is the last part of a module that exists once for each platform.
var platform = regexp.MustCompile(`/lib/(linux|darwin|windows)-[a-z0-9]+$`)

// linked lists the modules of which a package is linked into lastro, by path.
func linked(t *testing.T) []module {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-json=Module", "./cmd/lastro").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]module{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Module *struct {
				module
				Main bool
			}
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || p.Module.Main {
			continue
		}
		m := p.Module.module
		m.Path = platform.ReplaceAllString(m.Path, "/lib/*")
		found[m.Path] = m
	}
	return slices.SortedFunc(maps.Values(found), func(a, b module) int { return strings.Compare(a.Path, b.Path) })
}

// legal returns a module's licence and notice files by name. Pictures' sources
// are left out: none is linked.
func legal(t *testing.T, m module) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		if e.IsDir() || upper == "LICENSE-LOGO" || !(strings.HasPrefix(upper, "LICEN") || strings.HasPrefix(upper, "COPYING") || strings.HasPrefix(upper, "NOTICE")) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		texts[e.Name()] = strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")) + "\n"
	}
	return texts
}

// spdx names the licences that a text grants, by words that only they have.
func spdx(text string) []string {
	text = strings.Join(strings.Fields(text), " ")
	var ids []string
	for _, l := range []struct{ id, words string }{
		{"Apache-2.0", "Apache License Version 2.0"},
		{"MIT", "Permission is hereby granted, free of charge"},
		{"BSD-3-Clause", "may be used to endorse or promote products"},
		{"blessing", "May you do good and not evil"},
	} {
		if strings.Contains(text, l.words) || l.id == "Apache-2.0" && strings.Contains(text, "apache.org/licenses/LICENSE-2.0") {
			ids = append(ids, l.id)
		}
	}
	if len(ids) == 0 && strings.Contains(text, "Redistributions of source code must retain") {
		ids = append(ids, "BSD-2-Clause")
	}
	if len(ids) == 0 && strings.Contains(strings.ToLower(text), "public domain") {
		ids = append(ids, "public domain")
	}
	return ids
}

const noticeHead = `lastro
Copyright 2026 the lastro authors
Licensed under the Apache License, Version 2.0 (see LICENSE).

Data of the examples: examples/NOTICE.md.

What the binary contains of others
==================================
The full texts of these licences are in THIRD-PARTY-LICENSES. Both files are checked against the linked modules by
notice_test.go; after a change of dependencies: go test . -run Notice -update

`

// native lists what the modules above carry in compiled form, which no module
// file names.
const native = `
Linked through DuckDB's static library, under the licences in third_party/ of its source: brotli (MIT), concurrentqueue
(BSD-2-Clause), fast_float (MIT), fastpforlib (Apache-2.0), fmt (MIT), fsst (MIT), httplib (MIT), hyperloglog (BSD-3-Clause), ICU
(Unicode-3.0), jemalloc (BSD-2-Clause), libpg_query (BSD-3-Clause, with PostgreSQL's parser), LZ4 (BSD-2-Clause), Mbed TLS (Apache-2.0),
miniz (MIT), Parquet and Thrift (Apache-2.0), pdqsort (Zlib), RE2 (BSD-3-Clause), ska_sort (BSL-1.0), skiplist (MIT), snappy
(BSD-3-Clause), utf8proc (MIT), vergesort (MIT), yyjson (MIT), Zstandard (BSD-3-Clause).

The Go runtime and standard library: BSD-3-Clause, The Go Authors.

Not contained, loaded when it is there: ONNX Runtime (MIT), from the Python package onnxruntime.
`

// vendored are files of others that are embedded: no module names them.
var vendored = []module{{"uPlot (web/static/vendor)", "1.6.32", "web/static/vendor"}}

// notices renders both files.
func notices(t *testing.T) (notice, texts string) {
	t.Helper()
	var list, quoted, full strings.Builder
	list.WriteString(noticeHead)
	users := map[string][]string{} // licence text -> who uses it
	var order []string
	for _, m := range append(linked(t), vendored...) {
		files := legal(t, m)
		var ids []string
		for _, name := range slices.Sorted(maps.Keys(files)) {
			text := files[name]
			if strings.HasPrefix(strings.ToUpper(name), "NOTICE") {
				fmt.Fprintf(&quoted, "\nNotice of %s:\n\n%s", m.Path, text)
				continue
			}
			found := spdx(text)
			if len(found) == 0 {
				t.Errorf("%s %s: the licence in %s is not known; add it to spdx after reading it", m.Path, m.Version, name)
			}
			for _, id := range found {
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
			if users[text] == nil {
				order = append(order, text)
			}
			users[text] = append(users[text], m.Path+" "+m.Version+" ("+name+")")
		}
		if len(ids) == 0 {
			t.Errorf("%s %s has no licence file", m.Path, m.Version)
		}
		fmt.Fprintf(&list, "%-48s %-38s %s\n", m.Path, m.Version, strings.Join(ids, ", "))
	}
	for _, text := range order {
		fmt.Fprintf(&full, "%s\n%s\n\n%s\n\n", strings.Repeat("=", 80), strings.Join(users[text], "\n"), text)
	}
	return list.String() + native + quoted.String(), full.String()
}

// TestNotice fails when NOTICE or THIRD-PARTY-LICENSES are not those of the
// modules that are linked, or when a module's licence is not one that we know.
func TestNotice(t *testing.T) {
	notice, texts := notices(t)
	for name, want := range map[string]string{"NOTICE": notice, "THIRD-PARTY-LICENSES": texts} {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s is stale (%v): go test . -run Notice -update, and read the difference", name, err)
		}
	}
}
