// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// batchPoint is a metric of a batch. A batch has a thousand, and reading them
// by reflection takes longer than storing them.
type batchPoint struct{ point }

// UnmarshalJSON reads a metric as clients write it, and anything else that is
// one as encoding/json does.
func (p *batchPoint) UnmarshalJSON(b []byte) error {
	var plain point
	if plain.read(b) {
		p.point = plain
		return nil
	}
	p.point = point{}
	return json.Unmarshal(b, &p.point)
}

// read reads an object of plain strings (printable ASCII without escapes) and numbers with the
// names that this type knows. It reports false for all else. b is valid JSON:
// encoding/json has looked.
func (p *point) read(b []byte) bool {
	b, ok := bytes.CutPrefix(b, []byte("{"))
	for ok {
		var name, text []byte
		var isText bool
		if name, b, isText = plainValue(b); !isText {
			return false
		}
		if b, ok = bytes.CutPrefix(skipSpace(b), []byte(":")); !ok {
			return false
		}
		text, b, isText = plainValue(b)
		if !p.set(string(name), text, isText) {
			return false
		}
		b = skipSpace(b)
		if string(b) == "}" {
			return true
		}
		b, ok = bytes.CutPrefix(b, []byte(","))
	}
	return false
}

// plainValue takes a string or a number off b; of anything else it returns
// nothing as a number.
func plainValue(b []byte) (value, rest []byte, isText bool) {
	b = skipSpace(b)
	if len(b) == 0 || b[0] != '"' {
		n := 0
		for n < len(b) && (b[n] >= '0' && b[n] <= '9' || b[n] == '-' || b[n] == '+' || b[n] == '.' || b[n] == 'e' || b[n] == 'E') {
			n++
		}
		return b[:n], b[n:], false
	}
	for i, c := range b[1:] {
		switch {
		case c == '"':
			return b[1 : 1+i], b[2+i:], true
		case c == '\\' || c < ' ' || c > '~':
			return nil, nil, false
		}
	}
	return nil, nil, false
}

func skipSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// set stores the value of one name.
func (p *point) set(name string, value []byte, isText bool) bool {
	switch name {
	case "key":
		p.Key = string(value)
	case "model_id":
		p.ModelID = string(value)
	case "dataset_name":
		p.DatasetName = string(value)
	case "dataset_digest":
		p.DatasetDigest = string(value)
	case "value":
		v, err := strconv.ParseFloat(string(value), 64)
		p.Value = (*float)(&v)
		return err == nil && !isText
	case "timestamp", "step":
		v, err := strconv.ParseInt(string(value), 10, 64)
		if name == "step" {
			p.Step = int64s(v)
		} else {
			p.Timestamp = (*int64s)(&v)
		}
		return err == nil && !isText
	default: // encoding/json knows names in other cases too
		return false
	}
	return isText
}
