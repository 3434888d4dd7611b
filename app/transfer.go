// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"lastro"
	"lastro/store"
	"lastro/trace"
	"lastro/track"
	"lastro/transfer"
)

// MovePlan is what import and export of tracking content ask for.
type MovePlan struct {
	transfer.Plan
	Artifacts string // folder of the artifacts of a database file
	GoOn      bool   // leave out what is in conflict
	Again     bool   // move also what seems unchanged
	Verify    string // full, quick or off
	By        lastro.Actor
	Tell      func(string)
	Count     func(transfer.Counts)
}

// ImportMLflow moves the content of a tracking server in: from the address of
// one that runs, or from MLflow's SQLite file. Differences that the comparison
// finds are in the result.
func (h *House) ImportMLflow(ctx context.Context, source string, o MovePlan) (_ transfer.Result, err error) {
	s, err := openTransfer(ctx, source, o.Artifacts)
	if err != nil {
		return transfer.Result{}, err
	}
	defer s.Close()
	own := h.ownContents(s.About().Where)
	i := transfer.Importer{Source: s, Contents: own, Write: own.Move, Registry: h.Registry, Blobs: h.Blobs, Tracing: h.tracing(), By: o.By, Plan: o.Plan,
		GoOn: o.GoOn, Again: o.Again, Verify: o.Verify, Tell: o.Tell, Count: o.Count, Clock: h.Clock}
	return i.Run(ctx)
}

// openTransfer opens a source by what it looks like.
func openTransfer(ctx context.Context, source, artifacts string) (transfer.Source, error) {
	if transfer.IsAddress(source) {
		if artifacts != "" {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0766", Msg: "--artifacts is for a database file: a server hands its artifacts out itself", Hint: "leave it out"}
		}
		return transfer.OpenServer(ctx, source, transfer.LoginFrom(os.Getenv))
	}
	path := source
	if rest, ok := strings.CutPrefix(source, "sqlite:///"); ok {
		path = rest
	} else if scheme, _, ok := strings.Cut(source, "://"); ok {
		return nil, &lastro.Error{Code: lastro.EUnsupported, ID: "L0760", Msg: fmt.Sprintf("lastro does not read %s itself", strings.SplitN(scheme, "+", 2)[0]),
			Hint: "start MLflow's server on that database and give its address: lastro import mlflow http://host:5000"}
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		if _, err := os.Stat(filepath.Join(path, transfer.ExportedDatabase)); err != nil {
			return nil, &lastro.Error{Code: lastro.EUnsupported, ID: "L0760", Msg: path + " is a folder without a database: a file store (mlruns)",
				Hint: "turn it into a database first: mlflow migrate-filestore (3.17 and newer), or give the address of a server that was started on it"}
		}
		path = filepath.Join(path, transfer.ExportedDatabase)
	}
	return transfer.OpenDatabase(ctx, path, artifacts)
}

// ExportMLflow writes the content of this lastro into a new folder that
// MLflow's server opens.
func (h *House) ExportMLflow(ctx context.Context, dir string, o MovePlan) (transfer.Result, error) {
	x := transfer.Exporter{Source: transfer.Own{Contents: h.ownContents(""), Registry: h.Registry, Blobs: h.Blobs, Tracing: h.tracing(), Version: Version},
		Dir: dir, Plan: o.Plan, Verify: o.Verify, Tell: o.Tell, Count: o.Count}
	return x.Run(ctx)
}

// ownContents joins the parts of the store that a transfer reads and writes.
type ownContents struct {
	store.Move
	track store.Track
}

func (h *House) ownContents(source string) ownContents {
	return ownContents{store.NewMove(h.DB, source), store.NewTrack(h.DB)}
}

// Points implements transfer.Contents.
func (c ownContents) Points(ctx context.Context, q track.HistoryQuery) iter.Seq2[track.Metric, error] {
	return c.track.Points(ctx, q)
}

// Artifacts implements transfer.Contents.
func (c ownContents) Artifacts(ctx context.Context, dir string, limit int) ([]track.Artifact, error) {
	return c.track.Artifacts(ctx, dir, limit)
}

// tracing is this lastro's traces.
func (h *House) tracing() *trace.Service {
	return trace.NewService(store.NewTrace(h.DB), h.Blobs, h.Clock)
}
