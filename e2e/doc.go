// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the product as people use it: the built binary in real
// folders, with real child processes. Scenarios of the terminal are scripts in
// testdata (one subject a file); what needs signals, disks or servers is Go.
// Tests of one room's inside live in that room.
package e2e
