package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, server *httptest.Server, path string) (int, string) {
	t.Helper()
	response, err := http.Get(server.URL + path)
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
	if status, body := get(t, server, "/"); status != 200 || !strings.Contains(body, `"service":"auth"`) {
		t.Errorf("/: %d %s", status, body)
	}
	for _, path := range []string{"/health", "/ready"} {
		if status, _ := get(t, server, path); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if _, body := get(t, server, "/metrics"); !strings.Contains(body, `http_requests_total{service="auth"} 1`) {
		t.Errorf("/metrics: %s", body)
	}
	if status, _ := get(t, server, "/nothing"); status != 404 {
		t.Errorf("/nothing: %d", status)
	}
}

func TestDrainingIsNotReadyButHealthy(t *testing.T) {
	s := &service{name: "auth"}
	s.draining.Store(true)
	server := httptest.NewServer(s.handler())
	defer server.Close()
	if status, _ := get(t, server, "/ready"); status != 503 {
		t.Errorf("/ready: %d", status)
	}
	if status, _ := get(t, server, "/health"); status != 200 {
		t.Errorf("/health: %d", status)
	}
}
