// SPDX-License-Identifier: Apache-2.0

package track

// ValidKey reports whether a text can be the key of a metric.
func ValidKey(key string) bool { return checkKey("metric", key) == nil }

// ValidParam reports whether a param can be logged.
func ValidParam(p Param) bool { return checkParam(p) == nil }
