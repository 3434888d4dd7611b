// SPDX-License-Identifier: Apache-2.0

// Package storetest is the contract that both databases pass, a private
// PostgreSQL for tests, and helpers that run a test on both.
package storetest
