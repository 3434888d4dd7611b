// SPDX-License-Identifier: Apache-2.0

package trigger

import "time"

// Overview is what starts runs of a project, for people.
type Overview struct {
	Repository string    `json:"repository,omitempty"` // where changes are looked for, without a password; "" = nowhere
	Triggers   []Summary `json:"triggers"`
	Waiting    []Cause   `json:"waiting,omitempty"` // for a person
}

// Summary is one entry of on:.
type Summary struct {
	Kind   Kind       `json:"kind"`
	Detail string     `json:"detail"` // branches main; 0 5 * * * UTC; dataset wine
	Next   *time.Time `json:"next,omitempty"`
	Last   *Cause     `json:"last,omitempty"`
}
