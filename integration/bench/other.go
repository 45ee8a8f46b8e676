//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: only Linux tells what it measures (/proc, SIGSTOP, file systems); run it there")
	os.Exit(2)
}
