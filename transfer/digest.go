// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"lastro/track"
)

// fingerprint is that of a part of an entity: equal parts have equal ones.
type fingerprint [16]byte

func (p fingerprint) String() string { return hex.EncodeToString(p[:]) }

// printer makes fingerprints; every text stands with its length.
type printer struct{ buf []byte }

func (p *printer) text(list ...string) {
	for _, s := range list {
		p.buf = append(binary.AppendUvarint(p.buf, uint64(len(s))), s...)
	}
}

func (p *printer) number(list ...int64) {
	for _, n := range list {
		p.buf = binary.BigEndian.AppendUint64(p.buf, uint64(n))
	}
}

// time counts in milliseconds, which is what the protocol tells.
func (p *printer) time(t time.Time) {
	if t.IsZero() {
		p.number(0)
		return
	}
	p.number(t.UnixMilli())
}

// value is a metric's: MLflow's database has no infinity and keeps the largest
// number instead, and 0 and -0 are one.
func (p *printer) value(v float64) {
	switch {
	case math.IsNaN(v):
		v = math.NaN()
	case v == math.MaxFloat64:
		v = math.Inf(1)
	case v == -math.MaxFloat64:
		v = math.Inf(-1)
	case v == 0:
		v = 0
	}
	p.number(int64(math.Float64bits(v)))
}

func (p *printer) texts(m map[string]string) {
	p.number(int64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		p.text(k, m[k])
	}
}

// sum ends a fingerprint and begins the next.
func (p *printer) sum() fingerprint {
	full := sha256.Sum256(p.buf)
	p.buf = p.buf[:0]
	return fingerprint(full[:16])
}

// The parts of a run, in order; the names are what a difference is called.
var runParts = []string{"times, name, user or status", "params", "tags", "latest metrics", "datasets", "logged models", "metric points", "artifacts"}

type runPrint struct {
	parts  [8]fingerprint
	points int
	files  int
	unread bool // its artifacts could not be read
}

// headOf fingerprints what of a run is told in one go.
func headOf(r Run) (out [6]fingerprint) {
	var p printer
	p.text(r.Name, r.User, string(r.Status), string(r.State), r.ExperimentID)
	p.time(r.StartedAt)
	p.time(r.EndedAt)
	out[0] = p.sum()
	params := slices.Clone(r.Params)
	slices.SortFunc(params, func(a, b track.Param) int { return cmp.Compare(a.Key, b.Key) })
	for _, x := range params {
		p.text(x.Key, x.Value)
	}
	out[1] = p.sum()
	p.texts(r.Tags)
	out[2] = p.sum()
	latest := slices.Clone(r.Metrics)
	slices.SortFunc(latest, func(a, b track.Metric) int { return cmp.Compare(a.Key, b.Key) })
	for _, m := range latest {
		p.text(m.Key)
		p.number(m.Step, m.At.UnixMilli())
		p.value(m.Value)
	}
	out[3] = p.sum()
	inputs := slices.Clone(r.Inputs)
	slices.SortFunc(inputs, func(a, b track.Input) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
	})
	for _, in := range inputs {
		p.text(in.Name, in.Digest, in.SourceType, in.Source, in.Schema, in.Profile)
		p.texts(in.Tags)
	}
	out[4] = p.sum()
	for _, id := range slices.Sorted(slices.Values(r.ModelInputs)) {
		p.text("in", id)
	}
	outputs := slices.Clone(r.ModelOutputs)
	slices.SortFunc(outputs, func(a, b track.ModelOutput) int { return cmp.Compare(a.ModelID, b.ModelID) })
	for _, o := range outputs {
		p.text("out", o.ModelID)
		p.number(o.Step)
	}
	out[5] = p.sum()
	return out
}

// markOf is what is remembered of a run that was moved. One that goes on has
// nothing that would ever be found the same.
func markOf(r Run) string {
	if !r.Status.Terminal() {
		return "goes on " + time.Now().UTC().Format(time.RFC3339Nano)
	}
	var p printer
	for _, part := range headOf(r) {
		p.buf = append(p.buf, part[:]...)
	}
	return p.sum().String()
}

// set is the fingerprint of a set: the order in which its members come does not count.
type set struct {
	high, low uint64
	n         int
}

func (s *set) add(p fingerprint) {
	var carry uint64
	low := s.low + binary.BigEndian.Uint64(p[8:])
	if low < s.low {
		carry = 1
	}
	s.low, s.high, s.n = low, s.high+binary.BigEndian.Uint64(p[:8])+carry, s.n+1
}

func (s set) sum() (out fingerprint) {
	binary.BigEndian.PutUint64(out[:8], s.high+uint64(s.n))
	binary.BigEndian.PutUint64(out[8:], s.low)
	return out
}

func printOfPoint(p *printer, m track.Metric) fingerprint {
	p.text(m.Key)
	p.number(m.At.UnixMilli(), m.Step)
	p.value(m.Value)
	return p.sum()
}

// The parts of a logged model.
var loggedParts = []string{"name, type or status", "params", "tags", "metrics", "artifacts"}

type loggedPrint struct {
	parts  [5]fingerprint
	files  int
	unread bool
}

func headOfLogged(m LoggedModel) (out [4]fingerprint) {
	var p printer
	p.text(m.Name, m.Type, m.SourceRun, string(m.Status), m.StatusText, m.ExperimentID)
	p.time(m.CreatedAt)
	out[0] = p.sum()
	params := slices.Clone(m.Params)
	slices.SortFunc(params, func(a, b track.Param) int { return cmp.Compare(a.Key, b.Key) })
	for _, x := range params {
		p.text(x.Key, x.Value)
	}
	out[1] = p.sum()
	tags := maps.Clone(m.Tags)
	delete(tags, "mlflow.modelVersions") // MLflow's own copy of what the registry says
	p.texts(tags)
	out[2] = p.sum()
	var s set
	for _, x := range latestOfModel(m.Metrics) {
		p.text(x.Key, x.Run, x.DatasetName, x.DatasetDigest)
		p.number(x.At.UnixMilli(), x.Step)
		p.value(x.Value)
		s.add(p.sum())
	}
	out[3] = s.sum()
	return out
}

// latestOfModel keeps, of each metric, run and dataset, the newest point.
func latestOfModel(list []track.Metric) map[string]track.Metric {
	out := map[string]track.Metric{}
	for _, m := range list {
		id := fmt.Sprintf("%q %q %q %q", m.Key, m.Run, m.DatasetName, m.DatasetDigest)
		if have, ok := out[id]; !ok || m.Step > have.Step || m.Step == have.Step && m.At.After(have.At) {
			out[id] = m
		}
	}
	return out
}

func markOfLogged(m LoggedModel) string {
	if m.Status == track.ModelPending {
		return "goes on " + time.Now().UTC().Format(time.RFC3339Nano)
	}
	var p printer
	for _, part := range headOfLogged(m) {
		p.buf = append(p.buf, part[:]...)
	}
	return p.sum().String()
}
