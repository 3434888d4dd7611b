// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lastro"
)

// readMLmodel reads the signature out of an MLmodel file. Only two scalars of
// that YAML matter here, and both hold JSON, so it finds them by hand: the
// block "signature:" at the left margin and in it "inputs:" and "outputs:".
// Format: MLflow 3, docs "Model Signatures", as PyYAML writes it.
func readMLmodel(dir string) (Schema, error) {
	text, err := os.ReadFile(filepath.Join(dir, "MLmodel"))
	if errors.Is(err, fs.ErrNotExist) {
		return Schema{}, nil
	}
	if err != nil {
		return Schema{}, err
	}
	block := yamlBlock(string(text), "signature")
	inputs, ok := yamlScalar(block, "inputs")
	if !ok {
		return Schema{}, nil
	}
	s, err := parseSignature(inputs)
	if err != nil {
		return Schema{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0611", Pos: lastro.Pos{File: "MLmodel"},
			Msg: "the model's signature cannot be read", Hint: "log the model again with mlflow.models.infer_signature", Err: err}
	}
	if outputs, ok := yamlScalar(block, "outputs"); ok {
		if out, err := parseSignature(outputs); err == nil {
			s.Outputs = out.Inputs
		}
	}
	return s, nil
}

// yamlBlock returns the lines below a top-level key, without their indent of two.
func yamlBlock(text, key string) string {
	var b strings.Builder
	in := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, key+":"):
			in = true
		case in && strings.HasPrefix(line, "  "):
			b.WriteString(line[2:])
		case in && strings.TrimSpace(line) != "":
			return b.String()
		}
	}
	return b.String()
}

// yamlScalar returns the scalar of a key at the block's margin: plain, single
// or double quoted, folded over deeper lines. False for none and for null.
func yamlScalar(block, key string) (string, bool) {
	var raw strings.Builder
	in := false
	for line := range strings.Lines(block) {
		rest, found := strings.CutPrefix(line, key+":")
		switch {
		case !in && found:
			in = true
			raw.WriteString(strings.TrimSpace(rest))
		case in && (strings.HasPrefix(line, " ") || strings.TrimSpace(line) == ""):
			raw.WriteString(" " + strings.TrimSpace(line)) // a fold is one space
		case in:
			return unquote(raw.String())
		}
	}
	return unquote(raw.String())
}

func unquote(s string) (string, bool) {
	s = strings.TrimSpace(s)
	switch {
	case s == "" || s == "null" || s == "~":
		return "", false
	case len(s) > 1 && s[0] == '\'' && s[len(s)-1] == '\'':
		return strings.ReplaceAll(s[1:len(s)-1], "''", "'"), true
	case len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"':
		// PyYAML breaks double-quoted text with a backslash at the line's end and
		// writes "\ " where the next line begins with a space.
		var out string
		body := strings.ReplaceAll(strings.ReplaceAll(s, `\ \ `, " "), `\ `, " ")
		if err := json.Unmarshal([]byte(body), &out); err != nil {
			return "", false
		}
		return out, true
	}
	return s, true
}

// parseSignature reads MLflow's JSON list of columns or of one tensor.
func parseSignature(text string) (Schema, error) {
	var list []struct {
		Name     string          `json:"name"`
		Type     json.RawMessage `json:"type"`
		Required *bool           `json:"required"`
		Optional bool            `json:"optional"`
		Tensor   *struct {
			Dtype string `json:"dtype"`
			Shape []int  `json:"shape"`
		} `json:"tensor-spec"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return Schema{}, fmt.Errorf("signature %.60q: %w", text, err)
	}
	s := Schema{Known: len(list) > 0}
	for _, c := range list {
		f := Field{Name: c.Name, Required: !c.Optional && (c.Required == nil || *c.Required)}
		switch {
		case c.Tensor != nil:
			f.Type = tensorType(c.Tensor.Dtype)
			if c.Name == "" && len(c.Tensor.Shape) == 2 && c.Tensor.Shape[1] > 0 {
				s.Width = c.Tensor.Shape[1]
			}
		default:
			if err := json.Unmarshal(c.Type, &f.Type); err != nil {
				return Schema{}, fmt.Errorf("column %q: type %s: %w", c.Name, c.Type, err)
			}
		}
		if c.Name != "" {
			s.Named = true
		}
		s.Inputs = append(s.Inputs, f)
	}
	if !s.Named && s.Width == 0 && len(list) > 1 {
		s.Width = len(list)
	}
	return s, nil
}

// tensorType gives NumPy's dtype names MLflow's column words.
func tensorType(dtype string) string {
	switch {
	case strings.HasPrefix(dtype, "float"):
		return "double"
	case strings.HasPrefix(dtype, "int"), strings.HasPrefix(dtype, "uint"):
		return "long"
	case dtype == "bool":
		return "boolean"
	case dtype == "str", dtype == "object":
		return "string"
	}
	return dtype
}
