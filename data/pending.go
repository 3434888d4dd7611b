// SPDX-License-Identifier: Apache-2.0

package data

import "lastro"

var errPending = lastro.Errorf(lastro.EUnsupported, "not built yet")

func propose(string, []byte, Report) (Proposal, error) { return Proposal{}, errPending }
