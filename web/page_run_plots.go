// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"path"
	"strings"

	"lastro"
	"lastro/pipeline"
)

// plotView is a plot of a step: drawn here, or a picture that it made.
type plotView struct {
	Title  string
	Draw   template.HTML
	Image  string // address of the picture
	Alt    string
	Legend []seriesKey
	Small  bool // drawn no wider than it has to be
	File   fileRow
	Bad    string // why it cannot be shown
}

type seriesKey struct{ Class, Name string }

// maxPlots bounds what one page draws.
const maxPlots = 20

// plotBytes bounds what is read of all plots for one page.
const plotBytes = 32 << 20

// plotsOf draws the plots of an attempt. One that cannot be read says so and
// takes nothing else along.
func (p *Pages) plotsOf(ctx context.Context, l Lang, run int64, s pipeline.StepRun, links bool) []plotView {
	if p.Files == nil {
		return nil
	}
	var out []plotView
	left := int64(plotBytes)
	for i, a := range s.Plots[:min(len(s.Plots), maxPlots)] {
		view := plotView{Title: a.Name, File: fileOf(l, run, a, links)}
		plot, err := p.readPlot(ctx, a, &left)
		switch {
		case err != nil:
			view.Bad = err.Error()
		case plot.Kind == pipeline.PlotImage:
			view.Image = fmt.Sprintf("/runs/%d/plots/%s", run, a.Digest)
			view.Alt = l.T("plot.picture", a.Path)
		default:
			view.Title = firstOf(plot.Title, a.Name)
			view.Draw = drawPlot(l, fmt.Sprintf("plot%d", i), view.Title, plot)
			view.Small = plot.Kind == pipeline.PlotMatrix && len(plot.Matrix) <= 6
			for k, series := range plot.Series {
				if len(plot.Series) > 1 {
					view.Legend = append(view.Legend, seriesKey{fmt.Sprintf("l%d%s", 1+k%3, dashes(k)), series.Name})
				}
			}
		}
		out = append(out, view)
	}
	return out
}

// readPlot reads what is to be drawn; pictures are read by the browser. left is
// how many bytes the page may still read.
func (p *Pages) readPlot(ctx context.Context, a pipeline.Artifact, left *int64) (pipeline.Plot, error) {
	if pictures[strings.ToLower(path.Ext(a.Path))] != "" {
		return pipeline.Plot{Kind: pipeline.PlotImage}, nil
	}
	if *left -= a.Size; *left < 0 {
		return pipeline.Plot{}, lastro.Errorf(lastro.EInvalid, "the plots of this step are too large for one page")
	}
	f, err := p.Files.Open(ctx, a.Digest)
	if err != nil {
		return pipeline.Plot{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, plotBytes))
	if err != nil {
		return pipeline.Plot{}, err
	}
	return pipeline.ParsePlot(a.Path, raw)
}
