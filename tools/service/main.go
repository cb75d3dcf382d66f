// Service stands for each of the platform's APIs and workers: it answers /health, /ready and
// /metrics, and says on / who it is. Two more modes are what a release's hooks run of its image:
//
//	service                   serves
//	service migrate           before a release: configuration and databases
//	service check NAME URL    after it: is URL the API of that name, in this version, and well?
//
// Environment: SERVICE_NAME (required), SERVICE_VERSION ("unknown"), PORT (8000); of migrate
// POSTGRESQL_ADDRESS, REDIS_ADDRESS, RABBITMQ_ADDRESS.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// drainLimit is how long answers in progress may take after SIGTERM; less than the 30 s that a
// pod has.
const drainLimit = 10 * time.Second

type service struct {
	name, version string
	draining      atomic.Bool
	requests      atomic.Int64
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if s.draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		fmt.Fprintln(w, "# HELP http_requests_total Requests answered on /.")
		fmt.Fprintln(w, "# TYPE http_requests_total counter")
		fmt.Fprintf(w, "http_requests_total{service=%q} %d\n", s.name, s.requests.Load())
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		s.requests.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"service": s.name, "version": s.version})
	})
	return mux
}

// serve answers on the listener until ctx ends, then lets the answers in progress finish.
func (s *service) serve(ctx context.Context, listener net.Listener, out io.Writer) error {
	log := slog.New(slog.NewJSONHandler(out, nil)).With("service", s.name, "version", s.version)
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Info("started", "address", listener.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	limit, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	err := server.Shutdown(limit)
	log.Info("stopped", "requests", s.requests.Load())
	return err
}

func valueOf(key, otherwise string) string {
	if found := os.Getenv(key); found != "" {
		return found
	}
	return otherwise
}

func run(ctx context.Context, arguments []string) error {
	switch {
	case len(arguments) == 0:
		return listen(ctx)
	case len(arguments) == 1 && arguments[0] == "migrate":
		limit, cancel := context.WithTimeout(ctx, hookLimit)
		defer cancel()
		return migrate(limit, os.Stdout)
	case len(arguments) == 3 && arguments[0] == "check":
		limit, cancel := context.WithTimeout(ctx, hookLimit)
		defer cancel()
		return check(limit, arguments[1], arguments[2], os.Stdout)
	}
	return fmt.Errorf("unknown arguments %q; give none, migrate, or check NAME URL", arguments)
}

func listen(ctx context.Context) error {
	s := &service{name: os.Getenv("SERVICE_NAME"), version: valueOf("SERVICE_VERSION", "unknown")}
	if s.name == "" {
		return errors.New("SERVICE_NAME is not set; set it to the API's name")
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("", valueOf("PORT", "8000")))
	if err != nil {
		return err
	}
	return s.serve(ctx, listener, os.Stdout)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}
