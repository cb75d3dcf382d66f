package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Until when a hook tries again, and how long it waits before each further try.
const (
	hookLimit  = time.Minute
	retryAfter = time.Second
)

// What a migration must be told: an address each, as host:port.
var databases = []string{"POSTGRESQL_ADDRESS", "REDIS_ADDRESS", "RABBITMQ_ADDRESS"}

// migrate stands for a release's migration: the configuration must be whole, and every database
// that it names must take a connection.
func migrate(ctx context.Context, out io.Writer) error {
	addresses := make(map[string]string)
	for _, key := range databases {
		address := os.Getenv(key)
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("%s is %q; set it to host:port", key, address)
		}
		addresses[key] = address
	}
	var dialer net.Dialer
	for _, key := range databases {
		err := persist(ctx, func(ctx context.Context) error {
			connection, err := dialer.DialContext(ctx, "tcp", addresses[key])
			if err == nil {
				err = connection.Close()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s takes no connection: %w", key, err)
		}
		fmt.Fprintf(out, "%s %s: connected\n", key, addresses[key])
	}
	return nil
}

// check tells whether what answers at url is healthy and ready, and is the API of that name in the
// version of this very program.
func check(ctx context.Context, name, url string, out io.Writer) error {
	want := map[string]string{"service": name, "version": valueOf("SERVICE_VERSION", "unknown")}
	err := persist(ctx, func(ctx context.Context) error {
		for _, path := range []string{"/health", "/ready"} {
			if _, err := get(ctx, url+path); err != nil {
				return err
			}
		}
		body, err := get(ctx, url+"/")
		if err != nil {
			return err
		}
		var is map[string]string
		if err := json.Unmarshal(body, &is); err != nil {
			return fmt.Errorf("%s/ answers no JSON object: %w", url, err)
		}
		for key, value := range want {
			if is[key] != value {
				return fmt.Errorf("%s/ is of %s %q, not %q", url, key, is[key], value)
			}
		}
		return nil
	})
	if err == nil {
		fmt.Fprintf(out, "%s: healthy, ready, %s %s\n", url, want["service"], want["version"])
	}
	return err
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return body, err
}

// persist tries until it works or ctx ends; then the last try's error is told.
func persist(ctx context.Context, try func(context.Context) error) error {
	var last error
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := try(once)
		cancel()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // one that ctx cut short says nothing
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; gave up: %w", last, ctx.Err())
		case <-time.After(retryAfter):
		}
	}
}
