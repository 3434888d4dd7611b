// SPDX-License-Identifier: Apache-2.0

package auth

import "slices"

// Role is a named set of permissions.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // reads everything
	Author   Role = "author"   // starts runs, tracks, registers, deploys what gates let through
	Approver Role = "approver" // reads and decides on gates; starts nothing, so nobody approves by accident what they made
	Admin    Role = "admin"    // everything
)

// Roles lists the roles from least to most.
var Roles = []Role{Viewer, Author, Approver, Admin}

// readAll is what every role may do.
var readAll = []Permission{ReadRuns, ReadTracking, ReadRegistry, ReadData, ReadLive}

// rolePermissions is the table of roles.
var rolePermissions = map[Role][]Permission{
	Viewer:   readAll,
	Author:   append(slices.Clone(readAll), WriteRuns, WriteTracking, WriteRegistry, WriteData, Deploy),
	Approver: append(slices.Clone(readAll), Approve),
	Admin:    append(slices.Clone(readAll), WriteRuns, WriteTracking, WriteRegistry, WriteData, Deploy, Approve, WriteSecrets, Administer),
}

// Permissions returns what a role may do, nil for a role that does not exist.
func (r Role) Permissions() []Permission { return slices.Clone(rolePermissions[r]) }

// stepPermissions is what a step's token may do; track and registry narrow it
// further to what the step itself made.
var stepPermissions = []Permission{ReadTracking, WriteTracking, ReadRegistry, WriteRegistry}
