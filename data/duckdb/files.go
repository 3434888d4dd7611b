// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"lastro"
	"lastro/data"
)

// The formats that are read.
const (
	parquet = "parquet"
	csv     = "csv"
	json    = "json"   // one array or several objects
	ndjson  = "ndjson" // one object a line
)

var formats = map[string]string{".parquet": parquet, ".pq": parquet, ".csv": csv, ".tsv": csv, ".json": json, ".ndjson": ndjson, ".jsonl": ndjson}

// fileSet is the files of a table, in reading order, by format.
type fileSet struct {
	paths    []string
	byFormat map[string][]string
}

// format returns the one format of the set.
func (f fileSet) format() (string, error) {
	if len(f.byFormat) > 1 {
		var seen []string
		for name := range f.byFormat {
			seen = append(seen, name)
		}
		sort.Strings(seen)
		return "", &lastro.Error{Code: lastro.EInvalid, ID: "L0531", Msg: "the data mixes formats: " + strings.Join(seen, ", "), Hint: "keep the files of one dataset in one format"}
	}
	for name := range f.byFormat {
		return name, nil
	}
	return "", nil
}

// expand lists the files of a table and remembers them under the table's key.
func (s *session) expand(t data.Table) (fileSet, error) {
	set := fileSet{byFormat: map[string][]string{}}
	for _, f := range t.Files {
		if err := s.add(&set, f, t.Log); err != nil {
			return set, err
		}
	}
	if len(set.paths) == 0 && !t.Log {
		return set, &lastro.Error{Code: lastro.EInvalid, ID: "L0532", Msg: "there is no data file" + where(t), Hint: "lastro reads .parquet, .csv, .tsv, .json, .ndjson and .jsonl"}
	}
	s.sets[tableKey(t)] = set
	return set, nil
}

func where(t data.Table) string {
	if len(t.Files) == 0 {
		return ""
	}
	return " in " + t.Files[0].Path
}

func tableKey(t data.Table) string { return fmt.Sprintf("%v|%t", t.Files, t.Log) }

// add puts a file, or the files of a folder, into the set. Empty files are
// refused, but for segments of a log that have just been begun.
func (s *session) add(set *fileSet, f data.File, log bool) error {
	info, err := os.Stat(f.Path)
	if err != nil {
		return &lastro.Error{Code: lastro.EFailed, ID: "L0530", Msg: fmt.Sprintf("the data file %s cannot be read: %s", f.Path, plain(err)), Hint: "check the path and its permissions"}
	}
	if !info.IsDir() {
		name := f.Name
		if name == "" {
			name = f.Path
		}
		kind := formats[strings.ToLower(filepath.Ext(name))]
		if kind == "" {
			return &lastro.Error{Code: lastro.EUnsupported, ID: "L0532", Msg: fmt.Sprintf("%s is of no format that lastro reads", filepath.Base(name)),
				Hint: "lastro reads .parquet, .csv, .tsv, .json, .ndjson and .jsonl"}
		}
		if info.Size() == 0 {
			if log {
				return nil
			}
			return &lastro.Error{Code: lastro.EFailed, ID: "L0534", Msg: fmt.Sprintf("the data file %s is empty", f.Path), Hint: "was it written to the end?"}
		}
		path, err := s.plainPath(f.Path, len(set.paths))
		if err != nil {
			return err
		}
		set.paths = append(set.paths, path)
		set.byFormat[kind] = append(set.byFormat[kind], path)
		return nil
	}
	var inside []string
	err = filepath.WalkDir(f.Path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && formats[strings.ToLower(filepath.Ext(p))] != "" && !strings.HasPrefix(d.Name(), ".") {
			inside = append(inside, p)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list %s: %w", f.Path, err)
	}
	slices.Sort(inside)
	for _, p := range inside {
		if err := s.add(set, data.File{Path: p}, log); err != nil {
			return err
		}
	}
	return nil
}

func plain(err error) string {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// plainPath returns an absolute path without DuckDB's wildcards, through a
// link in the session's directory when the file's own name has some.
func (s *session) plainPath(path string, n int) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if !strings.ContainsAny(abs, "*?[") {
		return abs, nil
	}
	link := filepath.Join(s.dir, fmt.Sprintf("file-%d-%d%s", len(s.sets), n, filepath.Ext(path)))
	return link, os.Symlink(abs, link)
}

// reader is the SQL that reads the set as one relation.
func (f fileSet) reader(asText bool) (string, error) {
	kind, err := f.format()
	if err != nil {
		return "", err
	}
	list := "[" + texts(f.paths) + "]"
	switch kind {
	case parquet:
		return "read_parquet(" + list + ", union_by_name = true, hive_partitioning = false)", nil
	case csv:
		how := "sample_size = -1"
		if asText {
			how = "all_varchar = true"
		}
		mark, err := delimiter(f.paths[0])
		if err != nil {
			return "", err
		}
		return "read_csv(" + list + `, delim = ` + text(mark) + `, quote = '"', escape = '"', comment = '', skip = 0, header = true, union_by_name = true, hive_partitioning = false, ` + how + ")", nil
	case ndjson:
		return "read_json(" + list + ", format = 'newline_delimited', union_by_name = true, hive_partitioning = false, sample_size = -1)", nil
	}
	return "read_json(" + list + ", format = 'auto', union_by_name = true, hive_partitioning = false, sample_size = -1)", nil
}

// delimiter is the mark that separates the names in the first line of a CSV
// file. It is settled here because a parser that guesses from all rows takes a
// ragged file for one with a single column.
func delimiter(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", failed("the data file %s cannot be read: %s", path, plain(err))
	}
	defer file.Close()
	head, err := bufio.NewReader(io.LimitReader(file, 1<<20)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", failed("the data file %s cannot be read: %s", path, plain(err))
	}
	counts, quoted := map[rune]int{}, false
	for _, r := range head {
		if r == '"' {
			quoted = !quoted
		} else if !quoted {
			counts[r]++
		}
	}
	best := ','
	for _, r := range ";\t|" {
		if counts[r] > counts[best] {
			best = r
		}
	}
	return string(best), nil
}
