// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lastro"
)

var (
	yamlBlock  = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	topKey     = regexp.MustCompile(`(?m)^([a-z_-]+):`)
	fileName   = regexp.MustCompile(`[\w.-]+(?:/[\w.-]+)*\.(?:py|ipynb|yaml|lock|sh|txt|csv)\b`)
	workdir    = regexp.MustCompile(`workdir: ([\w/]+)`)
	pyModule   = regexp.MustCompile(`python\d? -m ([\w.]+)`)
	paramName  = regexp.MustCompile(`params\.([A-Za-z_]\w*)`)
	secretName = regexp.MustCompile(`secrets: \[([A-Z_, ]+)\]`)
)

// wholeFile makes a lastro.yaml of an example of the documentation: what it
// leaves out is added below it.
func wholeFile(block string) string {
	keys := map[string]bool{}
	steps := true
	for _, m := range topKey.FindAllStringSubmatch(block, -1) {
		keys[m[1]] = true
		for _, f := range fieldsOf(fileType) {
			steps = steps && f.name != m[1]
		}
	}
	if keys["version"] {
		return block
	}
	out := "version: 1\nname: docs\n"
	if steps {
		var indented strings.Builder
		for _, l := range strings.Split(strings.TrimRight(block, "\n"), "\n") {
			indented.WriteString("  " + l + "\n")
		}
		block, keys = "steps:\n"+indented.String(), map[string]bool{"steps": true}
	}
	out += block
	if m := secretName.FindStringSubmatch(block); m != nil && !keys["secrets"] {
		out += "secrets: [" + m[1] + "]\n"
	}
	out += stubs(block, keys)
	var params []string
	for _, m := range paramName.FindAllStringSubmatch(block, -1) {
		if p := m[1] + ": 1"; !slices.Contains(params, p) {
			params = append(params, p)
		}
	}
	if !keys["params"] && len(params) > 0 {
		out += "params: {" + strings.Join(params, ", ") + "}\n"
	}
	return out
}

// stubs declares the steps, datasets and models that an example names and does
// not have.
func stubs(block string, keys map[string]bool) string {
	outputs := map[string][]string{}
	data := map[string]bool{}
	name := regexp.MustCompile(`(?:inputs|data): \[([^\]]*)\]|from: ([\w.-]+)|reference: ([\w.-]+)|[^_]labels: ([a-z][\w-]*)`)
	for _, m := range name.FindAllStringSubmatch(block, -1) {
		for _, n := range strings.Split(strings.Join(m[1:], ","), ",") {
			switch step, output, dotted := strings.Cut(strings.TrimSpace(n), "."); {
			case step == "" || regexp.MustCompile(`(?m)^ *`+step+`:`).MatchString(block):
			case dotted && !slices.Contains(outputs[step], output):
				outputs[step] = append(outputs[step], output)
			case !dotted:
				data[step] = true
			}
		}
	}
	var steps strings.Builder
	for _, s := range sortedKeys(outputs) {
		var named []string
		for _, o := range outputs[s] {
			named = append(named, fmt.Sprintf("%s: stub/%s-%s", o, s, o))
		}
		fmt.Fprintf(&steps, "  %s: {run: 'true', outputs: {%s}}\n", s, strings.Join(named, ", "))
	}
	out := ""
	if keys["steps"] {
		out += steps.String()
	} else {
		out += "steps:\n  stub: {run: 'true', outputs: {model: stub/model}}\n" + steps.String()
	}
	if len(data) > 0 && !keys["data"] {
		out += "data:\n"
		for _, d := range sortedKeys(data) {
			out += "  " + d + ": {source: data/" + d + ", event_time: at, key: [id]}\n"
		}
	}
	if (keys["deploy"] || keys["monitor"]) && !keys["model"] {
		out += "model: {name: wine-quality, from: stub.model}\n"
	}
	return out
}

// Every example of lastro.yaml in the documentation loads.
func TestDocumentedExamplesLoad(t *testing.T) {
	var pages []string
	for _, glob := range []string{"../docs/reference/*.md", "../docs/steps/*.md"} {
		found, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	n, s := 0, compiledSchema(t)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "apiVersion:") {
				continue // a contract
			}
			n++
			whole := wholeFile(m[1])
			dir := t.TempDir()
			for _, f := range fileName.FindAllString(whole, -1) {
				write(t, dir, f, "")
			}
			for _, mod := range pyModule.FindAllStringSubmatch(whole, -1) {
				write(t, dir, strings.ReplaceAll(mod[1], ".", "/")+".py", "")
			}
			for _, m := range workdir.FindAllStringSubmatch(whole, -1) {
				write(t, dir, m[1]+"/keep", "")
			}
			p, err := Parse(dir, []byte(whole))
			problems, _ := err.(lastro.Problems)
			if err == nil {
				again, err := Parse(dir, Expanded(p))
				if err != nil || comparable(t, p) != comparable(t, again) {
					t.Errorf("%s: expanded it is another project: %v\n%s", page, err, Expanded(p))
				}
			}
			if err := s.Validate(instance(t, []byte(whole))); err != nil {
				t.Errorf("%s: the schema refuses it: %v\n%s", page, err, whole)
			}
			for _, p := range problems {
				if p.ID == "L0183" && !strings.Contains(m[1], "version:") {
					continue // rules of an example without its steps
				}
				t.Errorf("%s: %v\nin\n%s", page, p, whole)
			}
		}
	}
	if n < 20 {
		t.Errorf("found only %d examples", n)
	}
}

// Every key that works stands in an example of its section or of one above.
func TestEveryKeyHasAnExample(t *testing.T) {
	all := expressionsPage + matrixPage
	for _, e := range examples {
		all += strings.Join(e, "")
	}
	for heading, keys := range sectionsOf() {
		for _, key := range keys {
			if !regexp.MustCompile(`[\s{,]` + key + `:`).MatchString(all) {
				t.Errorf("no example has %s of %s", key, heading)
			}
		}
	}
}

var fileType = reflect.TypeFor[File]()

// sectionsOf lists the keys of each section that work.
func sectionsOf() map[string][]string {
	out := map[string][]string{}
	done := map[reflect.Type]bool{}
	var walk func(t reflect.Type, heading string)
	walk = func(t reflect.Type, heading string) {
		if done[t] {
			return
		}
		done[t] = true
		for i, f := range fieldsOf(t) {
			if f.name == "" || f.form != "" || f.notYet {
				continue
			}
			out[heading] = append(out[heading], f.name)
			if inner := inside(t.Field(i).Type); inner != nil {
				walk(inner, heading+"."+f.name)
			}
		}
	}
	walk(fileType, "the file")
	return out
}
