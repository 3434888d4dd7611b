// SPDX-License-Identifier: Apache-2.0

package project

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"lastro"
	"lastro/data"
)

// Load reads and checks the project in dir. The error is lastro.Problems,
// sorted by position, with everything that is wrong; Pos.File is relative to
// dir. Expressions are compiled and files that are named are looked for, but
// no data is read.
func Load(dir string) (*Project, error) {
	src, err := os.ReadFile(filepath.Join(dir, FileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		abs, _ := filepath.Abs(dir)
		return nil, lastro.Problems{{Code: lastro.EInvalid, ID: "L0102", Pos: lastro.Pos{File: FileName}, Msg: "there is no lastro.yaml in " + abs,
			Hint: "lastro init writes one; -C DIR looks elsewhere", Err: nil}}
	case err != nil:
		return nil, lastro.Problems{{Code: lastro.EInvalid, ID: "L0102", Pos: lastro.Pos{File: FileName}, Msg: "lastro.yaml cannot be read", Err: err}}
	}
	return Parse(dir, src)
}

// maxFile bounds lastro.yaml, in bytes.
const maxFile = 1 << 20

// Parse is Load of a text that stands for dir's lastro.yaml.
func Parse(dir string, src []byte) (*Project, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", dir, err)
	}
	if len(src) > maxFile {
		return nil, lastro.Problems{{Code: lastro.EInvalid, ID: "L0101", Pos: lastro.Pos{File: FileName}, Msg: fmt.Sprintf("the file has %d bytes; at most %d are read", len(src), maxFile)}}
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // some editors begin with it
	s := newSource(FileName, src)
	var f File
	if !decodeFile(s, src, &f) {
		return nil, s.problems.Sorted()
	}
	l := &loader{source: s, file: &f, project: &Project{Dir: abs, file: &f}, datasets: map[string]data.Spec{}, steps: map[string]*StepNode{}, place: map[string]int{}}
	l.translate()
	if len(s.problems) > 0 {
		return nil, s.problems.Sorted()
	}
	return l.project, nil
}

// decodeFile reads the text into f; false when it is no YAML object at all.
func decodeFile(s *source, src []byte, f *File) bool {
	start := lastro.Pos{File: s.file, Line: 1, Col: 1}
	tokens := lexer.Tokenize(string(src))
	if deep := tooDeep(tokens); deep != nil {
		s.report(s.pos(deep), "L0101", "the file is nested too deeply", "")
		return false
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, msg := start, err.Error()
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			at, msg = s.pos(syntax.GetToken()), syntax.GetMessage()
		}
		s.report(at, "L0101", "the file is no YAML: "+msg, yamlHint(msg))
		return false
	}
	bodies := 0
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if bodies++; bodies > 1 {
			s.report(s.pos(doc.Body.GetToken()), "L0101", "the file has two documents", "take out the line ---")
			return false
		}
		if _, ok := members(doc.Body); !ok {
			s.report(start, "L0101", "the file holds "+kindOf(doc.Body)+", not an object", "begin with  version: 1")
			return false
		}
		d := &decoder{source: s}
		d.value(reflect.ValueOf(f).Elem(), doc.Body, field{})
	}
	if bodies == 0 {
		s.report(start, "L0101", "the file is empty", "lastro init writes one")
	}
	return bodies == 1
}

// tooDeep returns the token at which brackets or dashes are nested deeper than
// anybody writes: the parser's time grows with the square of the depth.
func tooDeep(tokens token.Tokens) *token.Token {
	depth, dashes, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			if t.Position.Line != line {
				dashes, line = 0, t.Position.Line
			}
			dashes++
		}
		if depth > maxDepth || dashes > maxDepth {
			return t
		}
	}
	return nil
}

func yamlHint(msg string) string {
	switch {
	case strings.Contains(msg, "mapping value is not allowed"):
		return "a value with \": \" in it needs quotes around the whole"
	case strings.Contains(msg, "\t"):
		return "YAML indents with spaces, not with tabs"
	}
	return "check the indentation, the brackets and the quotes here and in the line above"
}

// loader turns the decoded file into a Project.
type loader struct {
	*source
	file     *File
	project  *Project
	params   map[string]any
	datasets map[string]data.Spec
	steps    map[string]*StepNode
	order    []string       // steps, in the order of the file
	place    map[string]int // of a step in the project's list
	outputs  []output       // of all steps, without those that were refused
	later    []checked      // expressions over facts of steps
}

func (l *loader) translate() {
	p, f := l.project, l.file
	p.Name, p.Description, p.Owners = f.Name.Value, f.Description.Value, values(f.Owners)
	l.params, _ = f.Params.Values.Value.(map[string]any)
	p.Pipeline.Project, p.Pipeline.Params = p.Name, l.params
	if p.Pipeline.Params == nil {
		p.Pipeline.Params = map[string]any{}
	}
	p.Pipeline.Python = l.python(f.Python)
	l.translateData()
	l.translateOn()
	l.translateSecrets()
	l.translateSteps()
	l.translateModel()
	l.translateDeploy()
	l.translateMonitor()
}

// values returns the strings of a list.
func values(l List[Text]) []string {
	var out []string
	for _, t := range l.Items {
		out = append(out, t.Value)
	}
	return out
}

// path checks a path of the file and returns it clean, with slashes; "" when it
// was refused.
func (l *loader) path(t Text, what string) string {
	if !t.Given() {
		return "" // it had the wrong kind, which is reported
	}
	p := t.Value
	clean := path.Clean(p)
	switch {
	case strings.Contains(p, "${{"):
		l.unsupported(t.At, fmt.Sprintf("an expression in %s", what), "write the path out")
	case strings.Contains(p, "://"):
		l.unsupported(t.At, fmt.Sprintf("an address as %s", what), "name a file or folder of the project")
	case strings.TrimSpace(p) == "":
		l.report(t.At, "L0124", what+" is empty", "")
	case strings.Contains(p, "\\") || strings.ContainsFunc(p, unicode.IsControl) || !utf8.ValidString(p):
		l.report(t.At, "L0124", fmt.Sprintf("%s %q has characters that no path may have", what, p), "separate folders by /")
	case path.IsAbs(p) || len(p) > 1 && p[1] == ':':
		l.report(t.At, "L0124", fmt.Sprintf("%s %q is absolute", what, p), "paths are relative to the folder of lastro.yaml; copy or link the data into it")
	case clean == ".." || strings.HasPrefix(clean, "../"):
		l.report(t.At, "L0124", fmt.Sprintf("%s %q leaves the project", what, p), "paths are relative to the folder of lastro.yaml and stay inside it")
	case clean == ".lastro" || strings.HasPrefix(clean, ".lastro/") || clean == ".git" || strings.HasPrefix(clean, ".git/"):
		l.report(t.At, "L0124", fmt.Sprintf("%s cannot be in %s", what, strings.SplitN(clean, "/", 2)[0]), "choose another folder, such as work/")
	default:
		return clean
	}
	return ""
}

// there reports whether a path of the project exists.
func (l *loader) there(rel string) bool {
	_, err := os.Stat(filepath.Join(l.project.Dir, filepath.FromSlash(rel)))
	return err == nil
}

// duration reads a duration that the decoder has already checked; 0 when not given.
func duration(t Text) time.Duration {
	s := t.Value
	for suffix, unit := range map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
		digits, ok := strings.CutSuffix(s, suffix)
		if !ok || strings.Trim(digits, "0123456789") != "" || digits == "" {
			continue
		}
		n, err := time.ParseDuration(digits + "ns")
		if err != nil || n > time.Duration(1<<62)/unit {
			return time.Duration(1 << 62)
		}
		return n * unit
	}
	return 0
}

// maxDatasets bounds the datasets of one file (SECURITY B17).
const maxDatasets = 1000

func (l *loader) translateData() {
	if n := len(l.file.Data.Entries); n > maxDatasets {
		l.report(l.file.Data.Entries[maxDatasets].Key.At, "L0106", fmt.Sprintf("the file has %d datasets; at most %d are read", n, maxDatasets), "split the project, or name a folder: it is one dataset")
		l.file.Data.Entries = l.file.Data.Entries[:maxDatasets]
	}
	for _, e := range l.file.Data.Entries {
		n := e.Value
		if n.Short.Given() {
			n.Source = n.Short
		}
		spec := data.Spec{Name: e.Key.Value, OnFail: "block", Key: values(n.Key), EventTime: n.EventTime.Value, Sensitive: values(n.Sensitive), Pos: e.Key.At}
		if n.Source.Given() {
			spec.Source = l.path(n.Source, "the source")
		}
		if n.Path.Given() {
			spec.Path = l.path(n.Path, "the path")
		}
		if n.OnFail.Given() {
			spec.OnFail = n.OnFail.Value
		}
		if n.Contract.Given() {
			spec.Contract = l.path(n.Contract, "the contract")
			if spec.Contract != "" && !l.there(spec.Contract) {
				l.report(n.Contract.At, "L0125", fmt.Sprintf("there is no contract %q", spec.Contract), l.nearFile(spec.Contract, "a contract is a file in the Open Data Contract Standard; remove the key when there is none yet"))
			}
		}
		for _, source := range []string{spec.Source, spec.Path} {
			if source != "" {
				l.project.Pipeline.NotCode = append(l.project.Pipeline.NotCode, source)
			}
		}
		l.datasets[spec.Name] = spec
		l.project.Datasets = append(l.project.Datasets, spec)
	}
}

// nearFile suggests a file of the same folder with a similar name.
func (l *loader) nearFile(rel, otherwise string) string {
	entries, err := os.ReadDir(filepath.Join(l.project.Dir, filepath.FromSlash(path.Dir(rel))))
	if err != nil {
		return otherwise
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if near := lastro.Nearest(path.Base(rel), names); near != "" {
		return fmt.Sprintf("did you mean `%s`?", path.Join(path.Dir(rel), near))
	}
	return otherwise
}
