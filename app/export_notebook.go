// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// NotebookExport asks for a notebook that loads tracked runs by MLflow's client.
type NotebookExport struct {
	TrackedSearch
	Names []string // of the experiments
	URI   string   // of the tracking server
}

// WriteNotebook writes a Jupyter notebook (nbformat 4.5) that searches the same
// runs and draws them. It holds the question and not the answer, so that it is
// right tomorrow too.
func WriteNotebook(w io.Writer, e NotebookExport) error {
	var cells []any
	text := func(source string) {
		cells = append(cells, map[string]any{"id": fmt.Sprintf("c%d", len(cells)), "cell_type": "markdown", "metadata": map[string]any{}, "source": source})
	}
	code := func(source string) {
		cells = append(cells, map[string]any{"id": fmt.Sprintf("c%d", len(cells)), "cell_type": "code", "metadata": map[string]any{}, "source": source,
			"outputs": []any{}, "execution_count": nil})
	}
	text("# Tracked runs\n\nNeeds `pip install mlflow-skinny pandas matplotlib` and a lastro server (`lastro up`). Set `MLFLOW_TRACKING_TOKEN` unless the server was started with `--auth none`.")
	code("import os\n\nimport matplotlib.pyplot as plt\nimport mlflow\nimport pandas as pd\n\n" +
		"mlflow.set_tracking_uri(os.environ.get(\"MLFLOW_TRACKING_URI\", " + pythonOf(e.URI) + "))")
	names, view := "None", "ACTIVE_ONLY"
	if len(e.Names) > 0 {
		names = pythonOf(e.Names)
	}
	if e.Deleted {
		view = "DELETED_ONLY"
	}
	code(fmt.Sprintf("runs = mlflow.search_runs(\n    experiment_names=%s,\n    search_all_experiments=%s,\n    filter_string=%s,\n    order_by=%s,\n    run_view_type=mlflow.entities.ViewType.%s,\n)\nruns.head()",
		names, map[bool]string{true: "False", false: "True"}[len(e.Names) > 0], pythonOf(e.Filter), pythonOf(append([]string{}, e.Order...)), view))
	text("## What differs\n\nColumns in which all runs agree are left out.")
	code("wanted = [c for c in runs.columns if c.startswith((\"params.\", \"metrics.\"))]\ndiffering = [c for c in wanted if runs[c].nunique(dropna=False) > 1]\nruns[[\"run_id\", \"status\", \"start_time\", *differing]]")
	text("## A param against a metric")
	code("params = [c for c in differing if c.startswith(\"params.\")]\nmetrics = [c for c in differing if c.startswith(\"metrics.\")]\nif params and metrics:\n    x = pd.to_numeric(runs[params[0]], errors=\"coerce\")\n    plt.scatter(x if x.notna().any() else runs[params[0]].astype(str), runs[metrics[0]])\n    plt.xlabel(params[0])\n    plt.ylabel(metrics[0])\n    plt.show()")
	text("## Learning curves\n\nEvery point of one metric, of the first ten runs.")
	code("client = mlflow.MlflowClient()\nif metrics:\n    name = metrics[0].removeprefix(\"metrics.\")\n    for run_id in runs[\"run_id\"].head(10):\n        points = client.get_metric_history(run_id, name)\n        plt.plot([p.step for p in points], [p.value for p in points], label=run_id[:8])\n    plt.xlabel(\"step\")\n    plt.ylabel(name)\n    plt.legend()\n    plt.show()")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(map[string]any{"cells": cells, "nbformat": 4, "nbformat_minor": 5,
		"metadata": map[string]any{"kernelspec": map[string]any{"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": map[string]any{"name": "python"}}})
}

// pythonOf writes a text, or a list of them, as Python reads it: JSON's escapes
// are Python's too.
func pythonOf(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // texts and lists of texts always encode
	return strings.TrimSpace(b.String())
}
