// Vault as its own release builds it, without the agent's and UI's extras: the
// build tag `minimal` leaves the backends out that Towline doesn't use.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:]))
}
