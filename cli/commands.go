// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/alecthomas/kong"

const description = `lastro takes a git repository with code, data and a model recipe through one loop (test, check data, train,
evaluate, gate, register, deploy, watch, retrain or roll back) and keeps the proof of every step.

First steps:
  lastro init --template flights my-project
  cd my-project && lastro run
  lastro up`

// groups order the commands in --help.
var groups = []kong.Group{
	{Key: "start", Title: "Start"},
	{Key: "work", Title: "Work"},
	{Key: "track", Title: "Experiments"},
	{Key: "understand", Title: "Understand"},
	{Key: "data", Title: "Data"},
	{Key: "release", Title: "Release"},
	{Key: "server", Title: "Server"},
}

// commands is the table of all commands; each has its own file.
type commands struct {
	Globals
	Version kong.VersionFlag `help:"Print the version."`

	Init  initCmd  `cmd:"" group:"start" help:"Start a project from a template."`
	Check checkCmd `cmd:"" group:"start" help:"Check lastro.yaml: every problem at once, with its place."`

	Run       runCmd       `cmd:"" group:"work" help:"Run the pipeline here; steps that are unchanged come from the cache."`
	Plan      planCmd      `cmd:"" group:"work" help:"Say what a run would do: hit or miss, and what changed."`
	Logs      logsCmd      `cmd:"" group:"work" help:"Print what a step of a run printed."`
	Shell     shellCmd     `cmd:"" group:"work" help:"Look inside a step: the same files and environment, before its command."`
	Cancel    cancelCmd    `cmd:"" group:"work" help:"End a run that is under way, here or elsewhere."`
	Retry     retryCmd     `cmd:"" group:"work" help:"Try again what did not end well in a run."`
	Resume    resumeCmd    `cmd:"" group:"work" help:"Go on with a run whose lastro was stopped or killed."`
	Ls        lsCmd        `cmd:"" group:"work" help:"List runs, models, data or what is live."`
	Diff      diffCmd      `cmd:"" group:"work" help:"Say what differs between two runs: what went in, then the effect."`
	Reproduce reproduceCmd `cmd:"" group:"work" help:"Do a run again without the cache, and compare what it makes."`

	Experiments experimentsCmd `cmd:"" group:"track" help:"List experiments: how many tracked runs they hold, and when the last one was."`
	Runs        runsCmd        `cmd:"" group:"track" help:"Search tracked runs by their metrics, params and tags."`
	Compare     compareCmd     `cmd:"" group:"track" help:"Say what differs between tracked runs, and how far their metrics are apart."`
	Export      exportCmd      `cmd:"" group:"track" help:"Write tracked runs to a file for other tools, or everything for MLflow."`
	Import      importCmd      `cmd:"" group:"track" help:"Bring what an MLflow server or another lastro holds, with its ids."`

	Explain explainCmd `cmd:"" group:"understand" help:"Say in plain words what this project does."`
	Why     whyCmd     `cmd:"" group:"understand" help:"Say why a version serves or not, or why a step ran again."`

	Data dataCmd `cmd:"" group:"data" help:"Check data, propose a contract change, measure drift."`

	Deploy   deployCmd   `cmd:"" group:"release" help:"Roll a model version out to an environment."`
	Rollback rollbackCmd `cmd:"" group:"release" help:"Put back the release that served before."`
	Approve  approveCmd  `cmd:"" group:"release" help:"See the decisions that wait, and waive a rule until a date."`

	Model modelCmd `cmd:"" group:"release" help:"Say what a model version is made of, and who moved its aliases when."`

	Up      upCmd      `cmd:"" group:"server" help:"Start the server: pages, API, MLflow API, rollouts, monitors, retrains."`
	Serve   serveCmd   `cmd:"" group:"server" help:"Start the data plane that answers inference requests."`
	User    userCmd    `cmd:"" group:"server" help:"Add or list people."`
	Secret  secretCmd  `cmd:"" group:"server" help:"Set, list or remove secrets that steps get by name."`
	Trigger triggerCmd `cmd:"" group:"server" help:"See what starts runs; let a fork's run start; install a hook."`
	Token   tokenCmd   `cmd:"" group:"server" help:"Make, list or revoke tokens."`

	Gc   gcCmd   `cmd:"" group:"server" name:"gc" help:"Remove stored content that nothing needs."`
	Fsck fsckCmd `cmd:"" group:"server" help:"Read all stored content again; name what is damaged or missing."`

	Supervisor supervisorCmd `cmd:"" hidden:"" help:"Start and watch the steps of an engine."`
	Beside     besideCmd     `cmd:"" hidden:"" help:"Run a step's command with its services."`
	DataWorker dataWorkerCmd `cmd:"" hidden:"" name:"data-worker" help:"Answer questions about data on standard input."`
	OnnxWorker onnxWorkerCmd `cmd:"" hidden:"" name:"onnx-worker" help:"Hold one ONNX model."`
}
