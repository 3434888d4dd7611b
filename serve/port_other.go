// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package serve

// portHolder is known on Linux only.
func portHolder(string) string { return "" }
