package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestAnswers(t *testing.T) {
	s := &service{name: "auth", version: "v1"}
	server := httptest.NewServer(s.handler())
	defer server.Close()
	status, body := fetch(t, server.URL+"/")
	var who map[string]string
	if err := json.Unmarshal([]byte(body), &who); err != nil || status != 200 {
		t.Fatalf("/: %d %s %v", status, body, err)
	}
	if who["service"] != "auth" || who["version"] != "v1" {
		t.Errorf("/: %v", who)
	}
	for _, path := range []string{"/health", "/ready"} {
		if status, _ := fetch(t, server.URL+path); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	_, body = fetch(t, server.URL+"/metrics")
	if !strings.Contains(body, "\nhttp_requests_total{service=\"auth\"} 1\n") {
		t.Errorf("/metrics: %s", body)
	}
	if status, _ := fetch(t, server.URL+"/nothing"); status != 404 {
		t.Errorf("/nothing: %d", status)
	}
}

func TestDrainingIsNotReadyButHealthy(t *testing.T) {
	s := &service{name: "auth"}
	s.draining.Store(true)
	server := httptest.NewServer(s.handler())
	defer server.Close()
	if status, _ := fetch(t, server.URL+"/ready"); status != 503 {
		t.Errorf("/ready: %d", status)
	}
	if status, _ := fetch(t, server.URL+"/health"); status != 200 {
		t.Errorf("/health: %d", status)
	}
}

func TestServesUntilItIsToldToStop(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := &service{name: "auth", version: "v1"}
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, listener, &out) }()
	if status, _ := fetch(t, "http://"+listener.Addr().String()+"/"); status != 200 {
		t.Errorf("/: %d", status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		t.Error("it still listens")
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("one line for the start, one for the stop: %q", lines)
	}
	for number, message := range []string{"started", "stopped"} {
		var line map[string]any
		if err := json.Unmarshal([]byte(lines[number]), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] != message || line["service"] != "auth" {
			t.Errorf("%v", line)
		}
	}
}

func TestRefusesToStart(t *testing.T) {
	t.Setenv("SERVICE_NAME", "")
	if err := run(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "SERVICE_NAME") {
		t.Errorf("no name: %v", err)
	}
	t.Setenv("SERVICE_NAME", "auth")
	t.Setenv("PORT", "none")
	if err := run(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a port that is none: %v", err)
	}
	for _, arguments := range [][]string{{"serve"}, {"check", "auth"}, {"migrate", "now"}} {
		err := run(context.Background(), arguments)
		if err == nil || !strings.Contains(err.Error(), "unknown arguments") {
			t.Errorf("%v: %v", arguments, err)
		}
	}
}
