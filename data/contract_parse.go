// SPDX-License-Identifier: Apache-2.0

package data

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lastro"
)

// Keys of ODCS 3.1 by where they may stand. Those in the *Notes sets are for
// people and other tools; nothing is to be checked for them.
var (
	contractNotes = words("id name tenant tags servers dataProduct description domain support price team roles authoritativeDefinitions customProperties contractCreatedTs")
	objectNotes   = words("id physicalType description businessName authoritativeDefinitions tags customProperties dataGranularityDescription logicalType")
	propertyNotes = words("id description businessName authoritativeDefinitions tags customProperties partitioned partitionKeyPosition encryptedName transformSourceObjects transformLogic transformDescription examples criticalDataElement")
	ruleNotes     = words("id authoritativeDefinitions businessImpact customProperties method schedule scheduler tags")

	logicalTypes = words("string date timestamp time number integer object array boolean")
	metrics      = words("nullValues missingValues invalidValues duplicateValues rowCount")
	operators    = words("mustBe mustNotBe mustBeGreaterThan mustBeGreaterOrEqualTo mustBeLessThan mustBeLessOrEqualTo mustBeBetween mustNotBeBetween")
)

func words(s string) []string { return strings.Fields(s) }

// reader collects the problems of one contract.
type reader struct {
	file     string
	problems lastro.Problems
	names    map[string]int // check names in use
}

func parseContract(file string, text []byte) (*Contract, error) {
	root, err := parseYAML(file, text)
	if err != nil {
		return nil, err
	}
	r := &reader{file: file, names: map[string]int{}}
	c := r.contract(root)
	if len(r.problems) > 0 {
		return nil, r.problems.Sorted()
	}
	c.File, c.Digest = file, lastro.DigestOf(text)
	return c, nil
}

func (r *reader) bad(pos lastro.Pos, hint, format string, args ...any) {
	r.problems = append(r.problems, &lastro.Error{Code: lastro.EInvalid, ID: "L0502", Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reader) unsupported(pos lastro.Pos, hint, format string, args ...any) {
	r.problems = append(r.problems, &lastro.Error{Code: lastro.EUnsupported, ID: "L0503", Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// keys walks a mapping: known keys go to their function, notes are passed
// over, keys of ODCS that need a check which does not exist yet are refused by
// name, everything else is a mistake.
func (r *reader) keys(n *node, what string, known map[string]func(*node), notes, later []string) {
	if n.kind != 'm' {
		r.bad(n.pos, "", "%s must be a mapping of keys to values", what)
		return
	}
	for _, e := range n.entries {
		switch f := known[e.key]; {
		case f != nil:
			if e.val.kind != 'n' {
				f(e.val)
			}
		case slices.Contains(notes, e.key):
		case slices.Contains(later, e.key):
			r.unsupported(e.pos, "remove it, or write what it asks as a rule of type sql", "%s: %s is not checked by this lastro yet", what, e.key)
		default:
			all := append(slices.Clone(notes), later...)
			for k := range known {
				all = append(all, k)
			}
			slices.Sort(all)
			hint := ""
			if near := lastro.Nearest(e.key, all); near != "" {
				hint = "did you mean " + near + "?"
			} else if e.key == "enum" {
				hint = "a set of values is a quality rule: {metric: invalidValues, arguments: {validValues: [...]}, mustBe: 0}"
			}
			r.bad(e.pos, hint, "%s: ODCS 3.1 has no key %q here", what, e.key)
		}
	}
}

func (r *reader) contract(n *node) *Contract {
	c := &Contract{}
	version, kind := "", ""
	r.keys(n, "contract", map[string]func(*node){
		"apiVersion":  r.text(&version),
		"kind":        r.text(&kind),
		"id":          r.text(&c.ID),
		"version":     r.text(&c.Version),
		"status":      r.text(&c.Status),
		"schema":      func(s *node) { r.schema(c, s) },
		"description": func(*node) {},
	}, contractNotes, words("slaProperties slaDefaultElement"))
	if n.kind != 'm' {
		return c
	}
	top := n.pos
	if !regexp.MustCompile(`^v3\.[01]\.\d+$`).MatchString(version) {
		r.bad(r.at(n, "apiVersion", top), "write apiVersion: v3.1.0", "apiVersion is %q; lastro reads ODCS 3.0 and 3.1", version)
	}
	if kind != "DataContract" {
		r.bad(r.at(n, "kind", top), "", "kind is %q, not DataContract", kind)
	}
	for _, k := range []string{"id", "version", "status"} {
		if n.get(k) == nil {
			r.bad(top, "", "%s is missing: ODCS asks for it", k)
		}
	}
	if n.get("schema") == nil {
		r.bad(top, "a contract that describes no table checks nothing", "schema is missing")
	}
	return c
}

func (r *reader) at(n *node, key string, otherwise lastro.Pos) lastro.Pos {
	if v := n.get(key); v != nil {
		return v.pos
	}
	return otherwise
}

func (r *reader) schema(c *Contract, n *node) {
	if n.kind != 'l' || len(n.items) == 0 {
		r.bad(n.pos, "", "schema must be a list of one table")
		return
	}
	if len(n.items) > 1 {
		r.unsupported(n.items[1].pos, "write one contract file a dataset", "schema lists %d tables; lastro checks one a contract", len(n.items))
		return
	}
	obj, physical := n.items[0], ""
	var quality *node
	r.keys(obj, "table", map[string]func(*node){
		"name":         r.text(&c.Object),
		"physicalName": r.text(&physical),
		"properties":   func(v *node) { r.properties(c, v) },
		"quality":      func(v *node) { quality = v },
	}, objectNotes, words("relationships"))
	if obj.kind != 'm' {
		return
	}
	if c.Object == "" {
		r.bad(obj.pos, "", "the table has no name")
	}
	if physical != "" {
		c.Object = physical
	}
	if quality != nil {
		c.Rules = append(r.rules(quality, nil), c.Rules...)
	}
}

func (r *reader) properties(c *Contract, n *node) {
	if n.kind != 'l' {
		r.bad(n.pos, "", "properties must be a list")
		return
	}
	seen := map[string]bool{}
	for _, item := range n.items {
		p, rules := r.property(item)
		if p.Name == "" {
			continue
		}
		if seen[strings.ToLower(p.Name)] {
			r.bad(p.Pos, "", "the column %q is described twice", p.Name)
			continue
		}
		seen[strings.ToLower(p.Name)] = true
		c.Properties = append(c.Properties, p)
		c.Rules = append(c.Rules, rules...)
	}
}

func (r *reader) property(n *node) (Property, []Rule) {
	p := Property{Pos: n.pos}
	var options, quality *node
	physical := ""
	r.keys(n, "property", map[string]func(*node){
		"name":               r.text(&p.Name),
		"physicalName":       r.text(&physical),
		"physicalType":       r.text(&p.Physical),
		"primaryKey":         r.flag(&p.PrimaryKey),
		"primaryKeyPosition": r.integer(func(v int64) { p.KeyPos = int(v) }),
		"required":           r.flag(&p.Required),
		"unique":             r.flag(&p.Unique),
		"classification":     r.text(&p.Classification),
		"logicalType":        r.oneOf(&p.Logical, "logicalType", logicalTypes),
		"logicalTypeOptions": func(v *node) { options = v },
		"quality":            func(v *node) { quality = v },
	}, propertyNotes, words("relationships properties items"))
	if n.kind != 'm' {
		return p, nil
	}
	if p.Name == "" {
		r.bad(n.pos, "", "a property has no name")
		return p, nil
	}
	p.Pos = n.get("name").pos
	if physical != "" {
		p.Name = physical
	}
	if options != nil {
		r.options(&p, options)
	}
	if quality == nil {
		return p, nil
	}
	return p, r.rules(quality, &p)
}

// options reads logicalTypeOptions; which are allowed depends on the type
// (ODCS 3.1, JSON schema of SchemaBaseProperty).
func (r *reader) options(p *Property, n *node) {
	known := map[string]func(*node){}
	var later []string
	bounds := func(parse func(**Bound) func(*node)) {
		known["minimum"], known["maximum"] = parse(&p.Minimum), parse(&p.Maximum)
		known["exclusiveMinimum"], known["exclusiveMaximum"] = parse(&p.ExclusiveMinimum), parse(&p.ExclusiveMaximum)
	}
	switch p.Logical {
	case "string":
		known["minLength"], known["maxLength"] = r.length(&p.MinLength), r.length(&p.MaxLength)
		known["pattern"], later = r.pattern(&p.Pattern), words("format")
	case "number", "integer":
		bounds(r.number)
		later = words("format multipleOf")
	case "date", "timestamp", "time":
		bounds(r.moment)
		later = words("format timezone defaultTimezone")
	case "":
		r.bad(n.pos, "give the property a logicalType", "logicalTypeOptions of %q need a logicalType", p.Name)
		return
	default:
		later = words("minItems maxItems uniqueItems maxProperties minProperties required")
	}
	r.keys(n, "logicalTypeOptions of "+p.Logical, known, nil, later)
}

// The next functions make setters of one value, with its problem.

func (r *reader) text(to *string) func(*node) {
	return func(n *node) {
		if n.kind != 's' {
			r.bad(n.pos, "", "a text is wanted here")
			return
		}
		*to = n.text
	}
}

func (r *reader) oneOf(to *string, what string, allowed []string) func(*node) {
	return func(n *node) {
		if n.kind == 's' && slices.Contains(allowed, n.text) {
			*to = n.text
			return
		}
		hint := "one of " + strings.Join(allowed, ", ")
		if near := lastro.Nearest(n.text, allowed); near != "" {
			hint = "did you mean " + near + "?"
		}
		r.bad(n.pos, hint, "%s cannot be %q", what, n.text)
	}
}

func (r *reader) flag(to *bool) func(*node) {
	return func(n *node) {
		v, ok := n.value.(bool)
		if !ok {
			r.bad(n.pos, "", "true or false is wanted, not %q", n.text)
		}
		*to = v
	}
}

func (r *reader) integer(set func(int64)) func(*node) {
	return func(n *node) {
		v, ok := n.value.(int64)
		if !ok {
			r.bad(n.pos, "", "a whole number is wanted, not %q", n.text)
			return
		}
		set(v)
	}
}

func (r *reader) length(to **int64) func(*node) {
	return func(n *node) {
		r.integer(func(v int64) {
			if v < 0 {
				r.bad(n.pos, "", "a length cannot be %d", v)
			}
			*to = &v
		})(n)
	}
}

func (r *reader) number(to **Bound) func(*node) {
	return func(n *node) {
		v, ok := n.number()
		if !ok {
			r.bad(n.pos, "", "a number is wanted, not %q", n.text)
			return
		}
		*to = &Bound{Number: v}
	}
}

var isoMoment = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?|\d{2}:\d{2}(:\d{2}(\.\d+)?)?)$`)

func (r *reader) moment(to **Bound) func(*node) {
	return func(n *node) {
		if n.kind != 's' || !isoMoment.MatchString(n.text) {
			r.bad(n.pos, "write 2026-11-23 or 2026-11-23T10:00:00", "a date or time is wanted, not %q", n.text)
			return
		}
		*to = &Bound{Text: n.text}
	}
}

// pattern takes a regular expression that RE2 can run: ECMA-262's look-around
// and back references cannot be, and are refused rather than approximated.
func (r *reader) pattern(to *string) func(*node) {
	return func(n *node) {
		if n.kind != 's' || n.text == "" {
			r.bad(n.pos, "", "a regular expression is wanted")
			return
		}
		if _, err := regexp.Compile(n.text); err != nil {
			r.bad(n.pos, "look-around and back references are not available (RE2)", "the pattern does not compile: %v", err)
			return
		}
		*to = n.text
	}
}
