// SPDX-License-Identifier: Apache-2.0

package mlflow

import "lastro/track"

// RunQuery reads a filter and orders such as "metrics.auc DESC" of a search of
// tracked runs, as MLflow's clients write them. People write the same at the
// command line and on the pages.
func RunQuery(filter string, orders []string) (track.Query, error) {
	return runWords.query(filter, orders)
}

// ExperimentQuery is RunQuery for a search of experiments.
func ExperimentQuery(filter string, orders []string) (track.Query, error) {
	return experimentWords.query(filter, orders)
}
