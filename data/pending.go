// SPDX-License-Identifier: Apache-2.0

package data

import (
	"context"

	"lastro"
)

var errPending = lastro.Errorf(lastro.EUnsupported, "not built yet")

func parseContract(string, []byte) (*Contract, error)  { return nil, errPending }
func (c *Contract) checks() []CheckSpec                { return nil }
func (r Report) with(string) []Check                   { return nil }
func (r Report) facts() map[string]float64             { return nil }
func (r Report) err() error                            { return nil }
func checkKey(lastro.Digest, []string) lastro.Digest   { return "" }
func propose(string, []byte, Report) (Proposal, error) { return Proposal{}, errPending }
func (c *Checker) ensure(context.Context, Version, Table, *Contract, []string, lastro.Actor) (Report, error) {
	return Report{}, errPending
}
