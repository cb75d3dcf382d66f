// Service stands for each of the platform's APIs: /health, /ready, /metrics, and who it is on /.
//
// Environment: SERVICE_NAME (required), SERVICE_VERSION, PORT (8000).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

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
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "# HELP http_requests_total Requests answered on /.\n")
		fmt.Fprintf(w, "# TYPE http_requests_total counter\n")
		fmt.Fprintf(w, "http_requests_total{service=%q} %d\n", s.name, s.requests.Load())
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		s.requests.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"service": s.name, "version": s.version})
	})
	return mux
}

func value(key, otherwise string) string {
	if found := os.Getenv(key); found != "" {
		return found
	}
	return otherwise
}

func run() error {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	s := &service{name: os.Getenv("SERVICE_NAME"), version: value("SERVICE_VERSION", "unknown")}
	if s.name == "" {
		return errors.New("SERVICE_NAME is not set")
	}
	server := &http.Server{
		Addr:              ":" + value("PORT", "8000"),
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.Info("started", "service", s.name, "version", s.version, "address", server.Addr)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	log.Info("stopping", "service", s.name)
	return server.Shutdown(limit)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}
