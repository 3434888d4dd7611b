// SPDX-License-Identifier: Apache-2.0

package project

import "lastro"

// The types below are the whole of lastro.yaml, and the only place that says
// so: the loader, lastro.schema.json and docs/reference/lastro-yaml.md all read
// their tags.
//
//	yaml:"key"       the key
//	doc:"..."        one line for a person
//	req:"true"       the key must be there
//	enum:"a|b"       the values that may stand here
//	later:"b"        of those, what this lastro cannot do yet; "*" is the whole key
//	pattern:"name"   a row of patterns, also for the names of a Map
//	default:"24h"    what holds when the key is not there, as YAML ...
//	implied:"..."    ... or in words; lastro explain --expanded writes both out
//	form:"scalar"    what stands there instead of an object of keys: scalar, list, map or null; several with |

// File is lastro.yaml.
type File struct {
	Version     Int               `yaml:"version" req:"true" min:"1" max:"1" doc:"version of this format: 1"`
	Name        Text              `yaml:"name" req:"true" pattern:"name" doc:"the project's name"`
	Description Text              `yaml:"description" doc:"what the project is for, in a sentence"`
	Owners      List[Text]        `yaml:"owners" doc:"who answers for it: people and groups"`
	Tags        Map[Text]         `yaml:"tags" later:"*" doc:"key-values of your own"`
	Include     List[Text]        `yaml:"include" later:"*" doc:"other files that continue this one"`
	Python      *PythonNode       `yaml:"python" doc:"Python of the steps: a version, or {version, lock}; lastro makes the environment from requirements.txt"`
	Image       Text              `yaml:"image" later:"*" doc:"container image of the steps"`
	On          *OnNode           `yaml:"on" doc:"what starts a run when a server is up: pushes, pull requests, tags, times, new data; people may unless manual is false" default:"manual: true"`
	Params      Params            `yaml:"params" doc:"values that steps use as ${{ params.NAME }}: an object, or a YAML file"`
	Secrets     List[Text]        `yaml:"secrets" doc:"names of secrets that steps may ask for; values are set with lastro secret set"`
	Env         Map[Text]         `yaml:"env" later:"*" doc:"environment variables of every step"`
	Data        Map[DatasetNode]  `yaml:"data" pattern:"ident" doc:"datasets: a file or folder, or {source, contract, ...}"`
	Steps       Map[StepNode]     `yaml:"steps" req:"true" pattern:"ident" doc:"what runs; the order follows from inputs"`
	Model       *ModelNode        `yaml:"model" doc:"the model that is registered, and what it needs to be promoted"`
	Models      List[ModelNode]   `yaml:"models" later:"*" doc:"several models"`
	Service     *ServiceNode      `yaml:"service" later:"*" doc:"a service that is released"`
	Services    List[ServiceNode] `yaml:"services" later:"*" doc:"several services"`
	Release     *ReleaseNode      `yaml:"release" later:"*" doc:"models and services that go together"`
	Deploy      Map[DeployNode]   `yaml:"deploy" pattern:"ident" doc:"environments: where a model goes, and how carefully"`
	Monitor     Map[MonitorNode]  `yaml:"monitor" doc:"what is watched in an environment, and what happens next"`
}

// PythonNode is a Python version and its lock.
type PythonNode struct {
	Short   Text       `form:"scalar"`
	Version Text       `yaml:"version" doc:"such as \"3.11\""`
	Lock    Text       `yaml:"lock" doc:"a lock file of your own (requirements form); else lastro writes lastro.lock"`
	Extras  List[Text] `yaml:"extras" later:"*" doc:"extras of pyproject.toml"`
	At      lastro.Pos
}

// OnNode is what starts a run.
type OnNode struct {
	Push        *PushNode          `yaml:"push" doc:"a commit that becomes the head of a branch: true, or which branches, tags and paths"`
	PullRequest *PullRequestNode   `yaml:"pull_request" doc:"a pull request: it tests, and gets no secrets, promotes and deploys nothing"`
	Tag         *TagNode           `yaml:"tag" doc:"a new tag: true, or which"`
	Data        List[Text]         `yaml:"data" doc:"a new version of one of these datasets"`
	Schedule    List[ScheduleNode] `yaml:"schedule" doc:"times of the clock"`
	Manual      *SwitchNode        `yaml:"manual" doc:"false: people start no runs, only what stands beside it" default:"true"`
	At          lastro.Pos
}

// SwitchNode is true, false, or nothing, which means true.
type SwitchNode struct {
	On Bool `form:"scalar|null"`
}

// PushNode says which pushes start a run.
type PushNode struct {
	Switch   Bool       `form:"scalar|null"`
	Branches List[Text] `yaml:"branches" doc:"patterns of branches, such as main, release/*, !wip/**; else all"`
	Tags     List[Text] `yaml:"tags" doc:"patterns of tags; without it tags start nothing here"`
	Paths    List[Text] `yaml:"paths" doc:"patterns of files: a push that changes none of them starts nothing"`
	At       lastro.Pos
}

// PullRequestNode says which pull requests start a run.
type PullRequestNode struct {
	Switch   Bool       `form:"scalar|null"`
	Branches List[Text] `yaml:"branches" doc:"patterns of the branch that it wants to go into; else all"`
	Paths    List[Text] `yaml:"paths" doc:"patterns of files: one that changes none of them starts nothing"`
	Forks    Text       `yaml:"forks" enum:"ask|never" doc:"of a fork: ask a person first (default), or never" default:"ask"`
	At       lastro.Pos
}

// TagNode says which tags start a run.
type TagNode struct {
	Switch Bool       `form:"scalar|null"`
	Names  List[Text] `form:"list"`
	At     lastro.Pos
}

// ScheduleNode is one cron line.
type ScheduleNode struct {
	Cron     Text `yaml:"cron" req:"true" doc:"minute hour day month weekday, or @daily and the like"`
	Timezone Text `yaml:"timezone" doc:"such as America/Sao_Paulo; else UTC" default:"UTC"`
	At       lastro.Pos
}

// Params are values, or the file that has them.
type Params struct {
	Values Any  `form:"map" types:"object"`
	File   Text `form:"scalar" later:"*" doc:"a file"`
}

// DatasetNode is one dataset.
type DatasetNode struct {
	Short     Text       `form:"scalar"`
	Source    Text       `yaml:"source" req:"true" doc:"file or folder; its content hash is its version"`
	Query     Text       `yaml:"query" later:"*" doc:"SQL file; its result is snapshotted"`
	Path      Text       `yaml:"path" doc:"where steps find it; else at its source"`
	Contract  Text       `yaml:"contract" doc:"Open Data Contract Standard file, checked before any step reads the data"`
	OnFail    Text       `yaml:"on_fail" enum:"block|quarantine|warn" later:"quarantine" doc:"what a violated contract does" default:"block"`
	Sensitive List[Text] `yaml:"sensitive" doc:"columns that reach only built-in checks and steps that list them under sees"`
	Key       List[Text] `yaml:"key" doc:"columns that identify a row"`
	Subject   Text       `yaml:"subject" later:"*" doc:"column that names the person, for erasure"`
	EventTime Text       `yaml:"event_time" doc:"column with the time of the row's event"`
	Version   Text       `yaml:"version" later:"*" doc:"pin one version"`
	Format    Text       `yaml:"format" later:"*" doc:"csv, parquet ...; else told by the name"`
	At        lastro.Pos
}

// StepNode is one step.
type StepNode struct {
	Run          Command          `yaml:"run" doc:"shell command (bash -euo pipefail), or a list (no shell)"`
	Uses         Text             `yaml:"uses" doc:"built-in step: lastro/split, lastro/compare, lastro/fairness"`
	Notebook     Text             `yaml:"notebook" doc:"notebook that is executed with the params; the run copy is kept"`
	With         Any              `yaml:"with" types:"object" doc:"settings of a built-in step, or the parameters of a notebook"`
	Inputs       List[Text]       `yaml:"inputs" doc:"datasets, steps or step.output names; they make the graph"`
	Outputs      Outputs          `yaml:"outputs" doc:"name: path of each file or folder that the step creates; nothing else survives"`
	Code         List[Text]       `yaml:"code" doc:"which repository files the step depends on; else all below workdir" implied:"every file below workdir that git knows or does not ignore"`
	Needs        List[Text]       `yaml:"needs" doc:"steps that must succeed first, without data"`
	If           Text             `yaml:"if" doc:"condition (CEL) over params, matrix, git, event and facts of the steps before; false = the step is skipped and says why"`
	Env          Map[Text]        `yaml:"env" doc:"environment variables"`
	Secrets      List[Text]       `yaml:"secrets" doc:"secrets that this step gets, each as an environment variable of its name"`
	Image        Text             `yaml:"image" later:"*" doc:"container image"`
	Python       *PythonNode      `yaml:"python" doc:"Python of this step"`
	Workdir      Text             `yaml:"workdir" doc:"folder in which the command starts" default:"."`
	Params       List[Text]       `yaml:"params" later:"*" doc:"params that the step reads by itself"`
	Metrics      OneOrMany        `yaml:"metrics" doc:"JSON files with numbers; nested keys become a.b"`
	Plots        OneOrMany        `yaml:"plots" doc:"files that pages show as plots: JSON, CSV, SVG or PNG"`
	Reports      *ReportsNode     `yaml:"reports" doc:"reports of tests and scans that the step writes; rules can read them"`
	Matrix       MatrixNode       `yaml:"matrix" doc:"the step runs once for each combination, as ${{ matrix.NAME }}; include and exclude change the list"`
	Select       *SelectNode      `yaml:"select" doc:"which cell of the matrix goes on"`
	Network      Text             `yaml:"network" enum:"full|none" doc:"none: the step reaches nothing but tracking; else full" default:"full"`
	Sees         List[Text]       `yaml:"sees" doc:"sensitive columns that this step may read"`
	Parallel     Int              `yaml:"parallel" min:"1" doc:"cells at once" implied:"as many as the machine has processors"`
	Resources    *LimitsNode      `yaml:"resources" doc:"what the step may use at most" implied:"no limit"`
	Timeout      Text             `yaml:"timeout" pattern:"duration" doc:"the step is stopped after it; else 24h" default:"24h"`
	Retry        *RetryNode       `yaml:"retry" doc:"when another attempt is made" implied:"lost work is tried once more"`
	Cache        CacheNode        `yaml:"cache" doc:"false: run again every time; {max_age: 7d}: results that are older do not count" default:"true"`
	Services     Map[SideService] `yaml:"services" pattern:"ident" doc:"processes that run beside the step, such as the application that its tests ask"`
	Runner       List[Text]       `yaml:"runner" later:"*" doc:"labels of the runner"`
	Approve      *ApproveNode     `yaml:"approve" later:"*" doc:"people who must agree before the step"`
	AllowFailure Bool             `yaml:"allow_failure" later:"*" doc:"a failure does not fail the run"`
	At           lastro.Pos
}

// Command is a shell command or an argument list.
type Command struct {
	Shell Text       `form:"scalar"`
	Argv  List[Text] `form:"list"`
}

// Outputs are names and paths.
type Outputs struct {
	Named Map[Text]  `form:"map"`
	Paths List[Text] `form:"list" later:"*" doc:"a list without names"`
}

// ReportsNode are files with results of tests and scans.
type ReportsNode struct {
	JUnit    Text `yaml:"junit" doc:"JUnit XML"`
	GoTest   Text `yaml:"gotest" doc:"go test -json"`
	SARIF    Text `yaml:"sarif" doc:"findings of a scanner (SARIF 2.1.0)"`
	Coverage Text `yaml:"coverage" doc:"coverage of the code: Cobertura XML, lcov or a Go profile"`
	SBOM     Text `yaml:"sbom" later:"*" doc:"CycloneDX"`
}

// Axis is one dimension of a matrix.
type Axis struct {
	Values List[Any] `form:"list"`
	Expr   Text      `form:"scalar" later:"*" doc:"an expression"`
}

// SelectNode chooses a cell.
type SelectNode struct {
	Best        Text `yaml:"best" req:"true" doc:"metrics.NAME"`
	Goal        Text `yaml:"goal" enum:"max|min" doc:"max or min" default:"max"`
	AverageOver Text `yaml:"average_over" doc:"an axis to average over, such as seed: the best seed is luck"`
	At          lastro.Pos
}

// LimitsNode is what a step may use.
type LimitsNode struct {
	CPU    Text `yaml:"cpu" types:"number|string" doc:"processors: 2, 0.5 or 500m"`
	Memory Text `yaml:"memory" types:"integer|string" doc:"such as 512Mi or 2Gi; a step that needs more is stopped, and says so"`
	GPU    Text `yaml:"gpu" types:"integer|string" later:"*" doc:"number or kind"`
	Disk   Text `yaml:"disk" later:"*" doc:"such as 20Gi"`
	At     lastro.Pos
}

// ResourcesNode is what a replica gets.
type ResourcesNode struct {
	CPU      Text `yaml:"cpu" types:"number|string" doc:"cores"`
	Memory   Text `yaml:"memory" doc:"such as 4Gi"`
	GPU      Text `yaml:"gpu" types:"integer|string" doc:"number or kind"`
	Disk     Text `yaml:"disk" doc:"such as 20Gi"`
	Replicas Int  `yaml:"replicas" doc:"processes"`
}

// RetryNode says when another attempt is made.
type RetryNode struct {
	Max     Int        `yaml:"max" min:"0" max:"10" doc:"attempts after the first; else 1" default:"1"`
	On      List[Text] `yaml:"on" pattern:"exit" doc:"lost, oom, timeout or exit:CODE; else lost" default:"[lost]"`
	Backoff Text       `yaml:"backoff" pattern:"duration" doc:"wait before the second attempt; it doubles each time, up to 10m"`
	At      lastro.Pos
}

// CacheNode says whether earlier results count.
type CacheNode struct {
	On     Bool `form:"scalar"`
	MaxAge Text `yaml:"max_age" pattern:"duration" doc:"oldest result that counts"`
}

// SideService is a process beside a step.
type SideService struct {
	Run   Text      `yaml:"run" doc:"shell command (bash -euo pipefail); it is stopped when the step ends"`
	Image Text      `yaml:"image" later:"*" doc:"container image"`
	Serve Text      `yaml:"serve" later:"*" doc:"a model to serve: step.output"`
	Port  Int       `yaml:"port" min:"1" max:"65535" doc:"port that it listens on; else a free one, which it and the step find in NAME_PORT" implied:"a free one"`
	Env   Map[Text] `yaml:"env" doc:"environment variables"`
	Ready Text      `yaml:"ready" doc:"path that answers 2xx, or a command that ends with 0, when it is ready; else its port accepts" implied:"its port accepts"`
	At    lastro.Pos
}

// ApproveNode is who must agree.
type ApproveNode struct {
	By     List[Text] `yaml:"by" req:"true" doc:"people and groups"`
	Count  Int        `yaml:"count" min:"1" doc:"how many of them"`
	Not    Text       `yaml:"not" enum:"author" doc:"author: nobody approves their own change"`
	Within Text       `yaml:"within" pattern:"duration" doc:"the question lapses after it"`
}

// ModelNode is a registered model.
type ModelNode struct {
	Name    Text           `yaml:"name" req:"true" pattern:"name" doc:"the model's name in the registry"`
	From    Text           `yaml:"from" req:"true" doc:"step.output that holds it"`
	Card    Text           `yaml:"card" later:"*" doc:"model card"`
	Require List[RuleNode] `yaml:"require" doc:"rules (CEL over facts) that must hold before it is promoted"`
	Sign    Bool           `yaml:"sign" later:"*" doc:"model signature, provenance, bill of materials"`
	Protect List[Text]     `yaml:"protect" doc:"aliases that move only with a passing decision; candidate, champion and challenger always do" default:"[candidate, champion, challenger]"`
	Example Text           `yaml:"example" later:"*" doc:"a request that it can answer"`
	At      lastro.Pos
}

// RuleNode is one condition.
type RuleNode struct {
	Short  Text `form:"scalar"`
	Name   Text `yaml:"name" doc:"the rule's name; else its expression"`
	Check  Text `yaml:"check" req:"true" doc:"CEL over facts: metrics.auc >= 0.7"`
	OnFail Text `yaml:"on_fail" enum:"block|warn|approve" doc:"block (default), warn, or approve: a named person may waive it until a date" default:"block"`
	First  Text `yaml:"first" enum:"pass|block" doc:"what a compare rule gives when there is no champion yet"`
	Why    Text `yaml:"why" doc:"why the rule is there"`
	At     lastro.Pos
}

// ServiceNode is a released service.
type ServiceNode struct {
	Name    Text           `yaml:"name" req:"true" pattern:"name" doc:"the service's name"`
	From    Text           `yaml:"from" req:"true" doc:"step.output that holds it"`
	Sign    Bool           `yaml:"sign" doc:"signature and provenance"`
	Port    Int            `yaml:"port" doc:"port it listens on"`
	Health  Text           `yaml:"health" doc:"path that answers 200 when it is well"`
	Require List[RuleNode] `yaml:"require" doc:"rules that must hold before it is promoted"`
}

// ReleaseNode is what goes together.
type ReleaseNode struct {
	Name     Text       `yaml:"name" req:"true" doc:"the release's name"`
	Together List[Text] `yaml:"together" req:"true" doc:"service.NAME and model.NAME"`
}

// DeployNode is one environment.
type DeployNode struct {
	Model      Text           `yaml:"model" doc:"model@alias that the environment follows"`
	Service    Text           `yaml:"service" later:"*" doc:"service that the environment runs"`
	Release    Text           `yaml:"release" later:"*" doc:"release that the environment runs"`
	Needs      List[Text]     `yaml:"needs" later:"*" doc:"environments that come first"`
	Approve    *ApproveNode   `yaml:"approve" later:"*" doc:"people who must agree"`
	Smoke      *SmokeNode     `yaml:"smoke" later:"*" doc:"a request that must be answered well first"`
	Strategy   *StrategyNode  `yaml:"strategy" doc:"all-at-once, or {canary: [10%, 50%, 100%], hold, min_requests}" default:"all-at-once"`
	RollbackIf List[Text]     `yaml:"rollback_if" doc:"CEL over the candidate's facts; one that holds rolls back"`
	Resources  *ResourcesNode `yaml:"resources" later:"*" doc:"replicas, cpu, memory"`
	Target     Text           `yaml:"target" later:"*" doc:"cluster"`
	Env        Map[Text]      `yaml:"env" later:"*" doc:"environment variables"`
	Secrets    List[Text]     `yaml:"secrets" later:"*" doc:"secrets"`
	Freeze     List[Text]     `yaml:"freeze" later:"*" doc:"times without releases"`
	At         lastro.Pos
}

// SmokeNode is a request before traffic.
type SmokeNode struct {
	Request Text `yaml:"request" doc:"JSON file"`
	Expect  Text `yaml:"expect" doc:"CEL over response.status and response.seconds"`
}

// StrategyNode is how traffic moves to a release.
type StrategyNode struct {
	Kind        Text       `form:"scalar" enum:"all-at-once|blue-green" later:"blue-green"`
	Canary      List[Text] `yaml:"canary" pattern:"percent" doc:"shares of traffic, ascending; the last is 100%"`
	Shadow      Text       `yaml:"shadow" pattern:"duration" later:"*" doc:"the candidate gets copies of requests for this long"`
	Hold        Text       `yaml:"hold" pattern:"duration" doc:"least time of a step"`
	MinRequests Int        `yaml:"min_requests" min:"0" doc:"least requests that the candidate answered in a step"`
	At          lastro.Pos
}

// MonitorNode is what is watched in one environment.
type MonitorNode struct {
	Drift       *DriftNode       `yaml:"drift" doc:"columns of a window against the training data"`
	Quality     *QualityNode     `yaml:"quality" later:"*" doc:"a contract on requests"`
	Performance *PerformanceNode `yaml:"performance" doc:"the model against labels that arrive later"`
	Fairness    *WatchFairness   `yaml:"fairness" later:"*" doc:"rates by group"`
	OnAlert     List[ActionNode] `yaml:"on_alert" doc:"what an alert does"`
	At          lastro.Pos
}

// DriftNode compares distributions.
type DriftNode struct {
	Test      Text       `yaml:"test" enum:"psi|ks|js|wasserstein|chi2|auto" doc:"auto = PSI by the kind of the column"`
	Reference Text       `yaml:"reference" req:"true" doc:"step.output that the model was trained on"`
	Window    Text       `yaml:"window" pattern:"duration" doc:"span of event time that is measured"`
	MinRows   Int        `yaml:"min_rows" min:"1" doc:"fewer rows are not measured"`
	Warn      Float      `yaml:"warn" min:"0" doc:"from here on it is said"`
	Alert     Float      `yaml:"alert" min:"0" doc:"from here on it is an alert"`
	Columns   List[Text] `yaml:"columns" doc:"which columns; else all that the model reads"`
	At        lastro.Pos
}

// QualityNode is a contract at the door.
type QualityNode struct {
	Contract Text `yaml:"contract" doc:"Open Data Contract Standard file"`
	Alert    Text `yaml:"alert" doc:"CEL over failed_rows"`
}

// PerformanceNode measures against labels.
type PerformanceNode struct {
	Labels      Text `yaml:"labels" req:"true" doc:"dataset with the labels"`
	Join        Text `yaml:"join" req:"true" doc:"column that both sides have"`
	Delay       Text `yaml:"delay" pattern:"duration" doc:"how long labels take"`
	ObservedFor Text `yaml:"observed_for" doc:"CEL over an answer's columns: which rows ever get a label"`
	Window      Text `yaml:"window" pattern:"duration" doc:"span of event time that is measured"`
	Metric      Text `yaml:"metric" req:"true" doc:"auc, brier, accuracy, rmse, mae ..."`
	Alert       Text `yaml:"alert" doc:"CEL over value, value.ci_low, value.ci_high, baseline, best"`
	At          lastro.Pos
}

// WatchFairness compares groups.
type WatchFairness struct {
	Groups     List[Text] `yaml:"groups" doc:"columns"`
	From       Text       `yaml:"from" doc:"dataset that has them"`
	Join       Text       `yaml:"join" doc:"column that both sides have"`
	Favourable Text       `yaml:"favourable" doc:"the good answer"`
	Metric     Text       `yaml:"metric" doc:"selection_rate ..."`
	Alert      Text       `yaml:"alert" doc:"CEL over min_ratio"`
}

// ActionNode is what an alert does.
type ActionNode struct {
	Notify   List[Text]   `yaml:"notify" doc:"who is told: log"`
	Retrain  *RetrainNode `yaml:"retrain" doc:"start the pipeline again"`
	Rollback Any          `yaml:"rollback" types:"object" later:"*" doc:"go back to the release before"`
	Reject   Any          `yaml:"reject" types:"object" later:"*" doc:"refuse bad rows"`
	Fallback Any          `yaml:"fallback" types:"object" later:"*" doc:"answer with a default"`
	At       lastro.Pos
}

// RetrainNode says when an alert starts the pipeline again.
type RetrainNode struct {
	When      List[Text] `yaml:"when" enum:"drift|performance|quality" later:"quality" doc:"which alerts"`
	NewLabels Int        `yaml:"new_labels" min:"0" doc:"least new label rows since the live version was trained"`
	Cooldown  Text       `yaml:"cooldown" pattern:"duration" doc:"least event time between two"`
	Max       Text       `yaml:"max" types:"integer|string" doc:"at most this many, such as 2 per month"`
	At        lastro.Pos
}
