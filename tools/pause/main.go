// Pause is a pod's first process: it holds the pod's namespaces until it is told to end, and
// collects ended processes where it is their init.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Two channels: however many children end, the order to end is never crowded out.
	end, child := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(child, syscall.SIGCHLD)
	for {
		reap() // first of all those that ended before the signal was listened for
		select {
		case <-end:
			return
		case <-child:
		}
	}
}

// reap collects every process that has ended; one signal may stand for several.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
	}
}
