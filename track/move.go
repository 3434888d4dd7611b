// SPDX-License-Identifier: Apache-2.0

package track

// RunPart is a part of a tracked run that is moved here from elsewhere, with
// the id and times that it has there. What is written twice counts once.
type RunPart struct {
	ID     string
	Head   *Run       // all but the points; nil in the parts that follow the first
	Points []Metric   // of any keys
	Files  []Artifact // names of bytes that are stored already
	// Last says that this part completes the run; Mark is what is remembered of
	// it then, so that an unchanged run is not moved again.
	Last bool
	Mark string
}

// ModelPart is a logged model that is moved here from elsewhere.
type ModelPart struct {
	LoggedModel
	Files []Artifact
	Mark  string
}
