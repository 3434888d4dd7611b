// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"encoding/csv"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"lastro"
	"lastro/track"
)

// comparePage lays tracked runs beside one another.
type comparePage struct {
	Verdict, Why string
	Runs         []comparedRun
	Parts        []comparedPart // what went in
	Metrics      []comparedMetric
	More         []comparedMetric // beyond those that a person reads at once
	Settings     []comparedMetric // seeds put together
	Curves       []curveView
	Scatter      *scatterView
	Parallel     template.HTML
	ParallelNote string
	All          bool
	Toggle       string // link that shows what is the same, or hides it
	CSV          string
	Command      string // the same at the command line
}

type comparedRun struct {
	track.Run
	Mark  seriesMark
	Class string
	Step  string // the step that made it
	Base  bool
}

// comparedPart is params, tags, data or code.
type comparedPart struct {
	Name string
	Rows []track.Row
}

type comparedMetric struct {
	Name string
	Rows []comparedValue
}

// comparedValue is a metric of one run or setting, as text.
type comparedValue struct {
	Mark             seriesMark
	Value, CI, N     string
	Change, ChangeCI string
	Dot              template.HTML // of the change
	Class            string        // of what the interval says
	Says             string
	Base             bool
}

// Width is how many columns the table of what went in has.
func (b comparePage) Width() int { return len(b.Runs) + 1 }

// metricsShown is how many metrics are shown before a person asks for more.
const metricsShown = 6

func (p *Pages) compare(r *http.Request, l Lang) (string, page, error) {
	asked := r.URL.Query()
	pg := page{Title: l.T("side.title"), Nav: "experiments"}
	ids := asked["run"]
	if len(ids) < 2 || len(ids) > track.MaxCompare {
		return "", pg, &lastro.Error{Code: lastro.EInvalid, Msg: l.T("side.count", l.Int(int64(len(ids)))), Hint: l.T("side.choose", track.MaxCompare)}
	}
	all := asked.Get("all") == "1"
	c, err := p.Track.Compare(r.Context(), ids, track.CompareOptions{All: all, Commit: p.CommitOf})
	if err != nil {
		return "", pg, err
	}
	body := comparePage{All: all, CSV: "/compare.csv?" + url.Values{"run": ids}.Encode()}
	body.describe(l, r.URL, c)
	body.fill(l, c)
	if body.Curves, err = p.curvesOf(r.Context(), l, c.Runs, curveNames(c.Runs)); err != nil {
		return "", pg, err
	}
	body.Scatter = scatterOf(l, c, asked)
	body.Parallel, body.ParallelNote = drawParallel(l, "parallel", c)
	if len(body.Curves) > 0 {
		pg.Scripts = []string{plotLibrary, curveScript}
	}
	pg.Body = body
	return "compare.html", pg, nil
}

// describe says what the page shows.
func (b *comparePage) describe(l Lang, u *url.URL, c track.Comparison) {
	differ := len(slices.DeleteFunc(slices.Concat(c.Params, c.Tags, c.Data, c.Code), func(r track.Row) bool { return !r.Differs() }))
	moved := len(slices.DeleteFunc(slices.Clone(c.Metrics), func(m track.MetricRow) bool { return !m.Differs() }))
	b.Verdict = l.T("side.verdict", l.Count("count.tracked", len(c.Runs)), l.Count("count.settings", differ), l.Count("count.metrics", moved))
	b.Why = l.T("side.why", c.Runs[0].Name)
	b.Command = "lastro compare"
	for _, r := range c.Runs {
		b.Command += " " + r.ID[:min(8, len(r.ID))]
	}
	if b.Toggle = with(u, "all", "1"); b.All {
		b.Toggle = with(u, "all", "")
	}
}

func (b *comparePage) fill(l Lang, c track.Comparison) {
	marks := marksOf(c.Runs)
	for i, r := range c.Runs {
		b.Runs = append(b.Runs, comparedRun{Run: r, Mark: marks[i], Class: statusClass(r.Status), Step: originWords(r.Origin), Base: i == 0})
	}
	for _, part := range []comparedPart{{l.T("side.params"), c.Params}, {l.T("side.tags"), c.Tags}, {l.T("side.data"), c.Data}, {l.T("side.code"), c.Code}} {
		if len(part.Rows) > 0 {
			b.Parts = append(b.Parts, part)
		}
	}
	for _, m := range c.Metrics {
		b.Metrics = append(b.Metrics, metricView(l, m, marks))
	}
	if len(b.Metrics) > metricsShown {
		b.More, b.Metrics = b.Metrics[metricsShown:], b.Metrics[:metricsShown]
	}
	names := make([]seriesMark, len(c.Settings))
	for i, s := range c.Settings {
		names[i].Name = l.Count("count.tracked", len(s.Runs))
		for _, param := range s.Params {
			names[i].Name += " · " + param.Key + " " + shorten(param.Value, 30)
		}
	}
	for _, m := range c.BySetting {
		b.Settings = append(b.Settings, metricView(l, m, names))
	}
}

// originWords names the step that made a tracked run: #142 train[2].
func originWords(o track.Origin) string {
	if o.Run == "" {
		return ""
	}
	words := "#" + o.Run + " " + o.Step
	if o.Cell != "" {
		words += "[" + o.Cell + "]"
	}
	return words
}

// metricView writes a metric; all changes of it are drawn on one axis.
func metricView(l Lang, m track.MetricRow, marks []seriesMark) comparedMetric {
	ends := []float64{0}
	for _, v := range m.Values {
		if v.Diff != nil {
			ends = append(ends, *v.Diff)
		}
		if v.DiffCI != nil {
			ends = append(ends, v.DiffCI.Low, v.DiffCI.High)
		}
	}
	low, high := span(0.08, ends...)
	out := comparedMetric{Name: m.Name}
	for i, v := range m.Values {
		out.Rows = append(out.Rows, valueView(l, v, marks[i], i == 0, low, high))
	}
	return out
}

func valueView(l Lang, v track.MetricValue, mark seriesMark, base bool, low, high float64) comparedValue {
	out := comparedValue{Mark: mark, Base: base, Value: "–"}
	if !v.Known {
		return out
	}
	out.Value = l.Measured(v.Value)
	if v.CI != nil {
		out.CI, out.N = l.Between(v.CI.Low, v.CI.High), l.Int(int64(v.N))
	}
	if v.Diff == nil {
		return out
	}
	out.Change = l.Signed(*v.Diff)
	dot := dotRow{Value: *v.Diff, CILow: math.NaN(), CIHigh: math.NaN(), Limit: math.NaN(), Mark: 0, Low: low, High: high}
	if v.DiffCI != nil {
		dot.CILow, dot.CIHigh = v.DiffCI.Low, v.DiffCI.High
		out.ChangeCI = l.Between(dot.CILow, dot.CIHigh)
		out.Class, out.Says = "running", l.T("side.differs")
		if dot.CILow <= 0 && dot.CIHigh >= 0 {
			out.Class, out.Says = "skipped", l.T("side.no_evidence")
		}
	}
	out.Dot = dot.draw()
	return out
}

// curveNames are the metrics that may be curves: one was measured at a step
// other than 0. Those of most runs come first.
func curveNames(runs []track.Run) []string {
	counts := map[string]int{}
	for _, r := range runs {
		for _, m := range r.Metrics {
			if m.Step != 0 {
				counts[m.Key]++
			}
		}
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b))
	})
	return names
}

// compareCSV answers with the whole comparison as a table.
func (p *Pages) compareCSV(w http.ResponseWriter, r *http.Request) {
	c, err := p.Track.Compare(r.Context(), r.URL.Query()["run"], track.CompareOptions{All: true, Commit: p.CommitOf})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", attachment("compare.csv"))
	out := csv.NewWriter(w)
	head := []string{"kind", "name"}
	for _, run := range c.Runs {
		head = append(head, run.ID)
	}
	_ = out.Write(head) // the error comes with Flush
	for _, part := range []comparedPart{{"param", c.Params}, {"tag", c.Tags}, {"data", c.Data}, {"code", c.Code}} {
		for _, row := range part.Rows {
			line := []string{part.Name, track.GuardFormula(row.Name)}
			for _, v := range row.Values {
				text := ""
				if v != nil {
					text = track.GuardFormula(*v)
				}
				line = append(line, text)
			}
			_ = out.Write(line)
		}
	}
	for _, m := range c.Metrics {
		line := []string{"metric", track.GuardFormula(m.Name)}
		for _, v := range m.Values {
			text := ""
			if v.Known {
				text = strconv.FormatFloat(v.Value, 'g', -1, 64)
			}
			line = append(line, text)
		}
		_ = out.Write(line)
	}
	out.Flush()
	p.sent(r, out.Error())
}
