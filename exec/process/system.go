// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"path/filepath"
	"strings"
)

// system are the folders of the machine's own programs, libraries and settings:
// all that a strict step sees besides what it was given. Home directories, data
// and other services' state (/home, /root, /srv, /mnt, /var, /tmp) are not.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/sys"}

// unseen is what of these folders not even root's steps see: passwords and
// private keys of the machine.
var unseen = []string{"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/krb5.keytab", "/etc/ssl/private", "/etc/ssh", "/etc/sudoers.d",
	"/etc/docker", "/etc/kubernetes", "/etc/wireguard", "/etc/NetworkManager/system-connections"}

// resolver is where the machine's list of name servers really is, "" when it is
// below a folder of the system, or not there.
func resolver() string {
	file, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil || within(file, system) {
		return ""
	}
	return file
}

// within reports whether path is one of the folders or below.
func within(path string, folders []string) bool {
	for _, f := range folders {
		if path == f || strings.HasPrefix(path, f+"/") {
			return true
		}
	}
	return false
}

// showSystem are the options that let a sandbox see the system and nothing else
// of the machine.
func showSystem() []string {
	var a []string
	for _, dir := range system {
		info, err := os.Lstat(dir)
		if err != nil {
			continue
		}
		if to, err := os.Readlink(dir); info.Mode()&os.ModeSymlink != 0 && err == nil && within(filepath.Join("/", to), system) {
			a = append(a, "--symlink", to, dir)
		} else {
			a = append(a, "--ro-bind-try", dir, dir)
		}
	}
	for _, p := range unseen {
		if info, err := os.Lstat(p); err == nil && info.IsDir() {
			a = append(a, "--tmpfs", p, "--remount-ro", p)
		} else if err == nil && info.Mode().IsRegular() {
			a = append(a, "--ro-bind", os.DevNull, p)
		}
	}
	if file := resolver(); file != "" {
		a = append(a, "--ro-bind-try", file, file)
	}
	return append(a, "--dir", "/tmp", "--dir", "/var/tmp", "--dir", "/run") // programs expect these to be there
}
