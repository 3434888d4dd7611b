// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"maps"
	"strings"
)

// IDs are the problems that people meet, with what each means
// and how it is mended: the long text behind `error[L0104]`. docs/reference/errors.md
// is written from it.
var IDs = together(fileIDs, runIDs, moreIDs, trackingIDs)

func together(tables ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, t := range tables {
		maps.Copy(out, t)
	}
	return out
}

var fileIDs = map[string]string{
	"L0101": "The file is not YAML, or not one object. Indentation is done with spaces; a value with \": \" or \" #\" in it needs quotes; every bracket is closed.",
	"L0102": "There is no lastro.yaml here, or it cannot be read. lastro init writes one; -C DIR looks in another folder.",
	"L0103": "A key that must be there is missing. Its line in docs/reference/lastro-yaml.md says what it is.",
	"L0104": "The key is none of lastro.yaml. Unknown keys are never ignored: a misspelled one would silently do nothing.",
	"L0105": "The value has the wrong kind: a list where text is wanted, or the like; or two keys that exclude each other are both there.",
	"L0106": "The value has the right kind and cannot stand here: the message names what can.",
	"L0107": "One key is given twice in one object. YAML would keep only one of them.",
	"L0108": "The key or value is known, and this version of lastro cannot do it yet. It is refused so that nobody relies on what does not happen.",
	"L0109": "Two things have one name. Names are how inputs, rules and people refer to things.",
	"L0111": "What stands in ${{ }} cannot be read. It is a name such as params.NAME, matrix.AXIS, run.id, git.commit, git.branch, event.NAME, metrics.NAME or steps.STEP.metrics.NAME, or an expression (CEL) over them: params.depth * 2. Secrets are no values of expressions: a step that lists one under secrets finds it in the environment variable of its name.",
	"L0112": "The name in ${{ }} or if: has no value: no such param, no such axis in this step, or an axis that some cell of the matrix does not have.",
	"L0113": "The value would stand where the shell reads a variable's content as code: in arithmetic, after eval, in the text of another shell. Pass it to a script as an argument of its own.",
	"L0114": "The expression reads a fact (a metric, a value, a count of tests) at a place where it is not known. A step knows the facts of the steps that it waits for, directly or through others: name the one that writes it under needs, or one of its outputs under inputs. Settings under with: are read while the run is planned, before any step has ended.",
	"L0121": "The name is no dataset, step, step output, column or axis of this file. Inputs are written dataset, step or step.output.",
	"L0122": "Steps wait for each other in a circle, so none could ever start. Inputs and needs both make a step wait.",
	"L0123": "Two outputs have one path, or one lies in another or in a dataset. Each output is kept by itself, so it needs a path of its own.",
	"L0124": "The path leaves the project, is absolute, or lies where lastro or git keeps its own things. All paths are relative to the folder of lastro.yaml.",
	"L0125": "A file or folder that the line names is not there.",
	"L0126": "The command names a Python file or module of the project that is not there. Paths of a command are relative to the step's workdir.",
	"L0127": "The step has several cells, and something reads its output: select says which cell goes on.",
	"L0131": "-p sets a param that lastro.yaml does not declare. Params are declared with a value, so that a slip of the pen is not silently ignored; nested ones are named with dots: -p lgbm.num_leaves=63.",
	"L0132": "A pattern under code: matches no file, so the step would run without its code. Patterns count from the repository's root; files that git ignores do not count.",
	"L0135": "A param keeps the kind that lastro.yaml declares it with: a number, a text, true or false, a list. -p depth=deep for a number would only fail later, inside a step.",
	"L0133": "Values reach a shell command as environment variables, never as its text, so that no value can run as code. In single quotes the shell reads no variables: use double quotes.",
	"L0161": "An environment follows model@alias: the model that this file registers, and an alias such as champion.",
	"L0171": "A monitor names an environment, a dataset or a measurement that is not there.",
	"L0181": "The CEL expression of a rule cannot be read or does not give true or false. All numbers are doubles; 5% is 0.05; 200ms, 30s and 7d are seconds; && and || join; == compares.",
	"L0182": "The expression names a fact that cannot be read at this place. Rules read metrics, tests, data, compare, fairness, params ...; rollback_if reads errors, latency, decision and score; alerts read value, baseline and best.",
	"L0183": "Nothing in this file will ever write the fact that the rule reads, so the rule could never hold.",
}

// Errors returns docs/reference/errors.md: every number with its text.
func Errors() []byte {
	var out strings.Builder
	out.WriteString("# Errors by number\n\nWritten by `go test ./project -update`; do not edit. `lastro explain L0104` prints one of them. A message says what was seen and what to do next;\n" +
		"this page says what it means. L00 is the command line, L01 lastro.yaml, L02 data and triggers, L03 runs, steps, gates and secrets, L04 the machine, the state and packages, L05 data files, contracts and protected aliases, L06 serving, rollouts and commands around runs, L07 experiments and their protocols, L08 evidence, L09 people. One that has no line here says at once what to do next.\n\n| number | what it means |\n|---|---|\n")
	for _, id := range sortedKeys(IDs) {
		fmt.Fprintf(&out, "| %s | %s |\n", id, strings.ReplaceAll(IDs[id], "|", "\\|"))
	}
	return []byte(out.String())
}
