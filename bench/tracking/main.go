// SPDX-License-Identifier: Apache-2.0

// Command tracking measures a server that speaks MLflow's REST protocol, with
// the requests that the Python client sends. It prints one JSON object.
//
//	tracking ceiling --listen HOST:PORT     a server that decodes the requests and discards them
//	tracking load --url URL --what WHAT     so many requests by so many clients
//	tracking store --db TARGET              an experiment of many runs, written and read through the store
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	commands := map[string]func(*flag.FlagSet, []string) (any, error){"ceiling": ceiling, "load": load, "store": fillStore}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "tracking: ceiling, load or store")
		os.Exit(2)
	}
	out, err := commands[os.Args[1]](flag.NewFlagSet(os.Args[1], flag.ExitOnError), os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "tracking:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
}
