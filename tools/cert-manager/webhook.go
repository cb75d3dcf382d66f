package main

import (
	"context"
	"flag"
	"strings"
	"time"

	"github.com/cert-manager/cert-manager/internal/apis/config/shared"
	config "github.com/cert-manager/cert-manager/internal/apis/config/webhook"
	"github.com/cert-manager/cert-manager/internal/webhook"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// names is a flag that may be given several times.
type names []string

func (n *names) String() string { return strings.Join(*n, ",") }

func (n *names) Set(value string) error {
	*n = append(*n, value)
	return nil
}

// runWebhook serves validation and defaults of cert-manager's objects, by certificates of an
// authority that it keeps in a Secret.
func runWebhook(ctx context.Context, flags *flag.FlagSet, arguments []string) error {
	port := flags.Int("secure-port", 6443, "port of the webhook")
	var dynamic shared.DynamicServingConfig
	flags.StringVar(&dynamic.SecretNamespace, "dynamic-serving-ca-secret-namespace", "",
		"namespace of the Secret with the authority")
	flags.StringVar(&dynamic.SecretName, "dynamic-serving-ca-secret-name", "", "the Secret's name")
	flags.Var((*names)(&dynamic.DNSNames), "dynamic-serving-dns-names",
		"a name that certificates are for")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if err := required(map[string]string{
		"dynamic-serving-ca-secret-namespace": dynamic.SecretNamespace,
		"dynamic-serving-ca-secret-name":      dynamic.SecretName,
		"dynamic-serving-dns-names":           strings.Join(dynamic.DNSNames, ","),
	}); err != nil {
		return err
	}
	dynamic.LeafDuration = 7 * 24 * time.Hour
	server, err := webhook.NewCertManagerWebhookServer(logf.FromContext(ctx),
		config.WebhookConfiguration{
			SecurePort:           int32(*port),
			HealthzPort:          6080,
			TLSConfig:            shared.TLSConfig{Dynamic: dynamic},
			MetricsListenAddress: metricsAddress,
		})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}
