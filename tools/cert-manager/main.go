// Cert-manager is cert-manager's controller, webhook and cainjector in one program, by the name of
// the first argument. Upstream's own commands are modules that nobody serves; what they put
// together is here put together from the packages of cert-manager's module.
//
// Left out, because nothing of it can be asked for in a network without a way out: the ACME, Vault
// and Venafi issuers, and the shims for Ingress and Gateway objects. Flags are those that the chart
// passes for the values that this repository sets; any other one is refused.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

const metricsAddress = "0.0.0.0:9402"

type component func(ctx context.Context, flags *flag.FlagSet, arguments []string) error

var components = map[string]component{
	"controller": runController,
	"webhook":    runWebhook,
	"cainjector": runCAInjector,
}

func run(arguments []string) error {
	if len(arguments) == 0 || components[arguments[0]] == nil {
		return fmt.Errorf("say controller, webhook or cainjector first, not %q", arguments)
	}
	name := arguments[0]
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	klog.InitFlags(flags)
	log := klog.Background().WithName("cert-manager-" + name)
	ctrl.SetLogger(log)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return components[name](logf.NewContext(ctx, log), flags, arguments[1:])
}

// required says which of the flags were not given.
func required(values map[string]string) error {
	for name, value := range values {
		if value == "" {
			return fmt.Errorf("--%s is missing", name)
		}
	}
	return nil
}

func main() {
	defer klog.Flush()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cert-manager:", err)
		os.Exit(1)
	}
}
