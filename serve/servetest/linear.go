// SPDX-License-Identifier: Apache-2.0

package servetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"lastro"
	"lastro/serve"
)

// Linear is a runtime in Go for tests of what surrounds a model: it answers
// Base + the sum of its weighted columns, and misbehaves as told. It passes
// Run like the others.
type Linear struct{}

// LinearModel is what a folder's linear.json says.
type LinearModel struct {
	Base    float64            `json:"base"`
	Weights map[string]float64 `json:"weights"`
	Fields  []serve.Field      `json:"fields"`
	RaiseOn string             `json:"raise_on,omitempty"` // raise when any string value equals it
	Raise   bool               `json:"raise,omitempty"`    // raise always
	Sleep   time.Duration      `json:"sleep,omitempty"`
	Rows    int                `json:"rows,omitempty"` // answer this many rows instead
	NaN     bool               `json:"nan,omitempty"`
	Fails   string             `json:"fails,omitempty"`  // do not load, for this reason
	Labels  bool               `json:"labels,omitempty"` // answer "yes" above 0.5, else "no"
}

// Folder writes a folder that Linear loads.
func (m LinearModel) Folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "linear.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Name returns "linear".
func (Linear) Name() string { return "linear" }

// Accepts says whether the folder has a linear.json.
func (Linear) Accepts(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "linear.json"))
	return err == nil
}

// Load reads linear.json.
func (Linear) Load(ctx context.Context, spec serve.LoadSpec) (serve.Model, error) {
	text, err := os.ReadFile(filepath.Join(spec.Dir, "linear.json"))
	if err != nil {
		return nil, err
	}
	m := &linear{}
	if err := json.Unmarshal(text, &m.LinearModel); err != nil {
		return nil, lastro.Errorf(lastro.EFailed, "linear.json: %v", err)
	}
	if m.Fails != "" {
		return nil, lastro.Errorf(lastro.EFailed, "%s", m.Fails)
	}
	return m, nil
}

type linear struct {
	LinearModel
	closed atomic.Bool
}

func (m *linear) Schema() serve.Schema {
	return serve.Schema{Known: len(m.Fields) > 0, Named: len(m.Fields) > 0, Inputs: m.Fields}
}

func (m *linear) Predict(ctx context.Context, b serve.Batch) (serve.Answer, error) {
	if m.closed.Load() {
		return serve.Answer{}, lastro.Errorf(lastro.EErrored, "closed")
	}
	select {
	case <-ctx.Done():
		return serve.Answer{}, ctx.Err()
	case <-time.After(m.Sleep):
	}
	if err := ctx.Err(); err != nil {
		return serve.Answer{}, err
	}
	rows := b.Rows
	if m.Rows > 0 {
		rows = m.Rows
	}
	data := make([]any, rows)
	for i := range data {
		x := m.Base
		for _, c := range b.Columns {
			switch v := c.Values[min(i, b.Rows-1)].(type) {
			case float64:
				x += m.Weights[c.Name] * v
			case int64:
				x += m.Weights[c.Name] * float64(v)
			case string:
				if m.RaiseOn != "" && v == m.RaiseOn {
					return serve.Answer{}, lastro.Errorf(lastro.EFailed, "ValueError: unknown %s %q", c.Name, v)
				}
			}
		}
		data[i] = x
		if m.NaN {
			data[i] = nil
		}
		if m.Labels {
			data[i] = map[bool]string{true: "yes", false: "no"}[x > 0.5]
		}
	}
	if m.Raise {
		return serve.Answer{}, fmt.Errorf("RuntimeError: told to raise")
	}
	kind := "FP64"
	if m.Labels {
		kind = "BYTES"
	}
	return serve.Answer{Outputs: []serve.Output{{Name: "predict", Datatype: kind, Shape: []int64{int64(rows)}, Data: data}}}, nil
}

func (m *linear) Pids() []int { return nil }

func (m *linear) Close() error { m.closed.Store(true); return nil }
