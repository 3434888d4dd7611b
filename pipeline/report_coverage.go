// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lastro"
)

// readCoverage reads a coverage report; which of the three forms it has is
// seen from its first bytes.
func readCoverage(raw []byte) (*Coverage, error) {
	head := bytes.TrimSpace(raw[:min(len(raw), 512)])
	switch {
	case bytes.HasPrefix(head, []byte("<")):
		return readCobertura(raw)
	case bytes.HasPrefix(head, []byte("mode:")):
		return readGoCover(raw)
	case bytes.HasPrefix(head, []byte("SF:")), bytes.HasPrefix(head, []byte("TN:")), bytes.HasPrefix(head, []byte("#")):
		return readLCOV(raw)
	}
	return nil, &lastro.Error{Code: lastro.EFailed, Pos: lastro.Pos{Line: 1}, Msg: fmt.Sprintf("it is no coverage report that is known here; it begins with %.30q", head),
		Hint: "Cobertura XML (coverage xml), a Go profile (go test -coverprofile) and LCOV are read"}
}

// covered gathers which places of which file were run. The same place may come
// several times: it is covered when one of them is.
type covered map[string]map[uint64]bool

func (c covered) note(file string, place uint64, ran bool) {
	places := c[file]
	if places == nil {
		places = map[uint64]bool{}
		c[file] = places
	}
	places[place] = places[place] || ran
}

// result adds up; weight is how much a place counts (nil = 1).
func (c covered) result(source string, weight func(file string, place uint64) int) *Coverage {
	out := &Coverage{Source: source}
	for _, file := range slices.Sorted(maps.Keys(c)) {
		f := FileCoverage{File: clip(file, maxReportLine)}
		for place, ran := range c[file] {
			n := 1
			if weight != nil {
				n = weight(file, place)
			}
			f.Lines += n
			if ran {
				f.Covered += n
			}
		}
		out.Lines += f.Lines
		out.Covered += f.Covered
		out.Files = append(out.Files, f)
	}
	slices.SortStableFunc(out.Files, func(a, b FileCoverage) int { return cmp.Compare(b.Lines-b.Covered, a.Lines-a.Covered) })
	if len(out.Files) > maxReportItems {
		out.Left = len(out.Files) - maxReportItems
		out.Files = slices.Clone(out.Files[:maxReportItems])
	}
	return out
}

// readCobertura reads the XML of coverage.py, gcovr, coverlet and others: line
// elements with number and hits within class elements with a filename. A line
// that a class lists twice, for a method and for itself, is one line.
func readCobertura(raw []byte) (*Coverage, error) {
	c := covered{}
	file := ""
	err := walkXML(raw, xmlVisitor{start: func(path []string, attr func(string) string) error {
		switch name := path[len(path)-1]; {
		case len(path) == 1 && name != "coverage":
			return &lastro.Error{Code: lastro.EFailed, Msg: fmt.Sprintf("it is not Cobertura XML: its root is <%.40s>, not <coverage>", name),
				Hint: "most tools write Cobertura when asked for it (coverage xml, gcovr --cobertura)"}
		case name == "project" && len(path) == 2:
			return &lastro.Error{Code: lastro.EFailed, Msg: "it is Clover XML, which is not read here", Hint: "let the tool write Cobertura"}
		case name == "class":
			if file = attr("filename"); file == "" {
				return lastro.Errorf(lastro.EFailed, "a class element has no filename")
			}
		case name == "line" && file != "":
			n, err := strconv.ParseUint(attr("number"), 10, 32)
			if err != nil {
				return lastro.Errorf(lastro.EFailed, "a line element has the number %.20q", attr("number"))
			}
			ran, err := hits(attr("hits"))
			if err != nil {
				return lastro.Errorf(lastro.EFailed, "line %d of %s has the hits %.20q", n, file, attr("hits"))
			}
			c.note(file, n, ran)
		}
		return nil
	}, end: func(path []string) {
		if path[len(path)-1] == "class" {
			file = ""
		}
	}})
	if err != nil {
		return nil, err
	}
	return c.result("cobertura", nil), nil
}

// hits reports whether a count is above zero; counts of any length are.
func hits(text string) (bool, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return true, nil
	}
	return n != 0, err
}

// readGoCover reads a profile of go test -coverprofile. It counts statements,
// as `go tool cover -func` does; a block that several packages' tests reported
// is covered when one of them ran it.
func readGoCover(raw []byte) (*Coverage, error) {
	c := covered{}
	type block struct {
		file  string
		place uint64
	}
	blocks := map[string]block{} // by "file:10.2,12.4"
	weights := map[block]int{}
	n := 0
	for line := range strings.Lines(string(raw)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "mode:") {
			continue
		}
		fields := strings.Fields(line)
		colon := strings.LastIndexByte(line, ':')
		bad := &lastro.Error{Code: lastro.EFailed, Pos: lastro.Pos{Line: n, Col: 1}, Msg: fmt.Sprintf("%.60q is no line of a Go coverage profile", line)}
		if len(fields) < 3 || colon < 1 {
			return nil, bad
		}
		statements, err := strconv.ParseUint(fields[len(fields)-2], 10, 31)
		ran, err2 := hits(fields[len(fields)-1])
		if err != nil || err2 != nil {
			return nil, bad
		}
		key := strings.TrimSuffix(line, " "+fields[len(fields)-2]+" "+fields[len(fields)-1])
		b, known := blocks[key]
		if !known {
			b = block{line[:colon], uint64(len(blocks))}
			blocks[key], weights[b] = b, int(statements)
		}
		c.note(b.file, b.place, ran)
	}
	return c.result("go", func(file string, place uint64) int { return weights[block{file, place}] }), nil
}

// readLCOV reads a trace file of lcov (man geninfo): DA:line,hits within SF
// records.
func readLCOV(raw []byte) (*Coverage, error) {
	c := covered{}
	file, ended := "", true
	n := 0
	for line := range strings.Lines(string(raw)) {
		n++
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		bad := func(what string) error {
			return &lastro.Error{Code: lastro.EFailed, Pos: lastro.Pos{Line: n, Col: 1}, Msg: what}
		}
		switch key {
		case "SF":
			if file, ended = value, false; file == "" {
				return nil, bad("a record names no file")
			}
		case "DA":
			number, count, _ := strings.Cut(value, ",")
			count, _, _ = strings.Cut(count, ",") // a checksum may follow
			at, err := strconv.ParseUint(number, 10, 32)
			ran, err2 := hits(count)
			if err != nil || err2 != nil || file == "" {
				return nil, bad(fmt.Sprintf("%.60q is no line of an LCOV report, or stands outside a record", strings.TrimSpace(line)))
			}
			c.note(file, at, ran)
		case "end_of_record":
			file, ended = "", true
		}
	}
	if !ended {
		return nil, &lastro.Error{Code: lastro.EFailed, Pos: lastro.Pos{Line: n, Col: 1}, Msg: fmt.Sprintf("the record of %.60q does not end", file)}
	}
	return c.result("lcov", nil), nil
}
