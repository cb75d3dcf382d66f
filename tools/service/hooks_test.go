package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestMigrationConnectsToEveryDatabase(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, key := range databases {
		t.Setenv(key, listener.Addr().String())
	}
	var out bytes.Buffer
	if err := migrate(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	if found := strings.Count(out.String(), ": connected\n"); found != len(databases) {
		t.Errorf("%s", out.String())
	}
}

func TestMigrationFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	for name, address := range map[string]string{
		`REDIS_ADDRESS is ""; set it to host:port`:              "",
		`REDIS_ADDRESS is "redis"; set it to host:port`:         "redis",
		"REDIS_ADDRESS takes no connection: dial tcp " + nobody: nobody,
	} {
		t.Run(name, func(t *testing.T) {
			open, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close()
			for _, key := range databases {
				t.Setenv(key, open.Addr().String())
			}
			t.Setenv("REDIS_ADDRESS", address)
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			defer cancel()
			err = migrate(ctx, &bytes.Buffer{})
			if err == nil || !strings.HasPrefix(err.Error(), name) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Setenv("SERVICE_VERSION", "v2")
	draining := &service{name: "auth", version: "v2"}
	draining.draining.Store(true)
	for name, each := range map[string]struct {
		handler http.Handler
		reason  string
	}{
		"as it should be": {(&service{name: "auth", version: "v2"}).handler(), ""},
		"not ready":       {draining.handler(), "answers 503 Service Unavailable: draining"},
		"the old version": {(&service{name: "auth", version: "v1"}).handler(), `is of version "v1", not "v2"`},
		"another API":     {(&service{name: "my", version: "v2"}).handler(), `is of service "my", not "auth"`},
		"something else":  {http.NotFoundHandler(), "answers 404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(each.handler)
			defer server.Close()
			limit := 500 * time.Millisecond
			if each.reason == "" {
				limit = hookLimit
			}
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			err := check(ctx, "auth", server.URL, &bytes.Buffer{})
			if each.reason == "" && err != nil {
				t.Error(err)
			}
			if each.reason != "" && (err == nil || !strings.Contains(err.Error(), each.reason)) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCheckWaitsForTheNewVersion(t *testing.T) {
	t.Setenv("SERVICE_VERSION", "v2")
	old, next := &service{name: "auth", version: "v1"}, &service{name: "auth", version: "v2"}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			asked++
		}
		if asked > 1 {
			next.handler().ServeHTTP(w, r)
			return
		}
		old.handler().ServeHTTP(w, r)
	}))
	defer server.Close()
	var out bytes.Buffer
	if err := check(context.Background(), "auth", server.URL, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "auth v2") || asked != 2 {
		t.Errorf("%d %s", asked, out.String())
	}
}
