// SPDX-License-Identifier: Apache-2.0

package lastro_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A row of the table in ARCHITECTURE.md.
type room struct {
	floor, folder string
	may           []string
	technology    []string
}

var quoted = regexp.MustCompile("`([^`]+)`")

// readMap parses the table of ARCHITECTURE.md, so that map and rule are one copy.
func readMap(t *testing.T) []room {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	var rooms []room
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[2], "`") || strings.Contains(cells[1], "new") {
			continue
		}
		var may []string
		for _, m := range quoted.FindAllStringSubmatch(cells[4], -1) {
			may = append(may, m[1])
		}
		if strings.Contains(cells[4], "every capability") {
			may = append(may, "every capability")
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[2], -1) {
			rooms = append(rooms, room{floor: strings.TrimSpace(cells[1]), folder: m[1], may: may, technology: strings.Fields(cells[5])})
		}
	}
	return rooms
}

type goPackage struct {
	ImportPath, Doc string
	Imports         []string
	Module          struct{ Path string }
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,Module", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// folderOf turns an import path of this module into the table's spelling.
func folderOf(importPath string) (string, bool) {
	if importPath == "lastro" {
		return ".", true
	}
	return strings.CutPrefix(importPath, "lastro/")
}

// matches reports whether a folder is meant by a table entry, where x/* means
// every folder below x.
func matches(entry, folder string) bool {
	if entry == "*" || entry == folder {
		return true
	}
	base, ok := strings.CutSuffix(entry, "/*")
	return ok && strings.HasPrefix(folder, base+"/")
}

func find(rooms []room, folder string) (room, bool) {
	best := -1
	for i, r := range rooms {
		if matches(r.folder, folder) && (best < 0 || len(r.folder) > len(rooms[best].folder)) {
			best = i
		}
	}
	if best < 0 {
		return room{}, false
	}
	return rooms[best], true
}

// allowed reports whether a room may import a folder of this module.
func allowed(rooms []room, from room, folder string) bool {
	for _, entry := range from.may {
		if entry == "every capability" {
			if to, ok := find(rooms, folder); ok && strings.HasPrefix(to.floor, "1") {
				return true
			}
		}
		if matches(entry, folder) {
			return true
		}
	}
	return false
}

// TestArchitecture holds the imports of every package against the table.
func TestArchitecture(t *testing.T) {
	rooms := readMap(t)
	if len(rooms) < 30 {
		t.Fatalf("read only %d rooms from ARCHITECTURE.md", len(rooms))
	}
	used := map[string]bool{}
	tech := map[string][]string{} // third-party module prefix -> folders that name it
	for _, r := range rooms {
		for _, m := range r.technology {
			tech[m] = append(tech[m], r.folder)
		}
	}
	for _, p := range listPackages(t) {
		folder, _ := folderOf(p.ImportPath)
		r, ok := find(rooms, folder)
		if !ok {
			t.Errorf("%s has no row in ARCHITECTURE.md", folder)
			continue
		}
		used[r.folder] = true
		if p.Doc == "" {
			t.Errorf("%s has no package comment", folder)
		}
		for _, imp := range p.Imports {
			if to, ours := folderOf(imp); ours {
				if !matches(folder, to) && !allowed(rooms, r, to) {
					t.Errorf("%s imports %s, which its row does not name", folder, to)
				}
				continue
			}
			checkTechnology(t, folder, imp, tech)
		}
	}
	for _, r := range rooms {
		base := strings.TrimSuffix(r.folder, "/*")
		_, err := os.Stat(base)
		if err != nil && !planned[r.folder] {
			t.Errorf("ARCHITECTURE.md has a row for %s, but there is no such folder", r.folder)
		}
		if err == nil && planned[r.folder] {
			t.Errorf("%s is there now: take it out of planned", r.folder)
		}
	}
}

// planned are the rooms that the map already shows and later work fills.
var planned = map[string]bool{"attest": true, "audit": true, "notify": true, "telemetry": true}

// everywhere are modules that any room may use: the language's own extensions.
var everywhere = []string{"golang.org/x/sync", "golang.org/x/sys", "golang.org/x/text", "golang.org/x/term"}

// checkTechnology fails when a third-party module is used outside the rooms
// that name it.
func checkTechnology(t *testing.T, folder, imp string, tech map[string][]string) {
	first, _, _ := strings.Cut(imp, "/")
	if !strings.Contains(first, ".") || slices.ContainsFunc(everywhere, func(m string) bool { return strings.HasPrefix(imp, m) }) {
		return
	}
	for module, folders := range tech {
		if strings.HasPrefix(imp, module) {
			for _, f := range folders {
				if matches(f, folder) {
					return
				}
			}
		}
	}
	t.Errorf("%s uses %s, a module that its row does not name", path.Clean(folder), imp)
}
