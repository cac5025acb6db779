// etcd as its own release builds it. It has a module of its own because the
// `replace` lines of etcd's go.mod keep `go install` from taking it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
