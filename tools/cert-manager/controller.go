package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/metrics"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	"github.com/cert-manager/cert-manager/pkg/healthz"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

const workers = 5

// runController issues certificates, once it leads.
func runController(ctx context.Context, flags *flag.FlagSet, arguments []string) error {
	var options controller.ContextOptions
	flags.StringVar(&options.ClusterResourceNamespace, "cluster-resource-namespace", "",
		"namespace of what ClusterIssuers read")
	namespace := flags.String("leader-election-namespace", "", "namespace of the lease")
	flags.StringVar(&options.HTTP01SolverImage, "acme-http01-solver-image", "", "not used here")
	flags.IntVar(&options.MaxConcurrentChallenges, "max-concurrent-challenges", 60, "not used here")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if err := required(map[string]string{
		"cluster-resource-namespace": options.ClusterResourceNamespace,
		"leader-election-namespace":  *namespace,
	}); err != nil {
		return err
	}
	options.CopiedAnnotationPrefixes = []string{"*", "-kubectl.kubernetes.io/", "-argocd.argoproj.io/"}
	options.CertificateRequestMinimumBackoffDuration = time.Hour
	options.CertificateRequestMaximumBackoffDuration = 32 * time.Hour

	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	health := healthz.NewServer(20 * time.Second)
	if err := serveHealth(ctx, health); err != nil {
		return err
	}
	return lead(ctx, shared, *namespace, health, func(ctx context.Context) error {
		return control(ctx, factory, shared)
	})
}

func serveHealth(ctx context.Context, health *healthz.Server) error {
	listener, err := net.Listen("tcp", "0.0.0.0:9403")
	if err != nil {
		return err
	}
	go func() { _ = health.Start(ctx, listener) }()
	return nil
}

// lead runs work while this process holds the lease, and returns when either ends.
func lead(
	ctx context.Context, shared *controller.Context, namespace string, health *healthz.Server,
	work func(context.Context) error,
) error {
	identity, err := os.Hostname()
	if err != nil {
		return err
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace,
		"cert-manager-controller", shared.Client.CoreV1(), shared.Client.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: identity})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	result := make(chan error, 1)
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   60 * time.Second,
		RenewDeadline:   40 * time.Second,
		RetryPeriod:     5 * time.Second,
		ReleaseOnCancel: true,
		WatchDog:        health.LeaderHealthzAdaptor,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				result <- work(ctx)
				stop()
			},
			OnStoppedLeading: func() {},
		},
	})
	select {
	case err := <-result:
		return err
	default: // it never led, or has just lost the lease: the pod starts anew
		return nil
	}
}

// control runs every controller that the imports above registered.
func control(ctx context.Context, factory *controller.ContextFactory, shared *controller.Context) error {
	listener, err := net.Listen("tcp", metricsAddress)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error)
	var running sync.WaitGroup
	start := func(work func() error) {
		running.Go(func() {
			if err := work(); err != nil {
				select {
				case failed <- err:
				case <-ctx.Done():
				}
			}
		})
	}
	informers := shared.SharedInformerFactory.Certmanager().V1()
	shared.Metrics.SetupCertificateCollector(informers.Certificates().Lister())
	shared.Metrics.SetupIssuerCollector(informers.Issuers().Lister())
	shared.Metrics.SetupClusterIssuerCollector(informers.ClusterIssuers().Lister())
	for name, construct := range controller.Known() {
		made, err := construct(factory)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		start(func() error { return made.Run(workers, ctx) })
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())

	metrics := shared.Metrics.NewServer(listener)
	start(func() error {
		if err := metrics.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	defer func() {
		stop()
		metrics.Close()
		running.Wait()
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}
