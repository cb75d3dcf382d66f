package main

import (
	"context"
	"flag"

	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kscheme "k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	cmscheme "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/scheme"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	"github.com/cert-manager/cert-manager/pkg/util"
)

// runCAInjector writes authorities' certificates into webhooks, API services and CRDs.
func runCAInjector(ctx context.Context, flags *flag.FlagSet, arguments []string) error {
	namespace := flags.String("leader-election-namespace", "", "namespace of the lease")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if err := required(map[string]string{"leader-election-namespace": *namespace}); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		kscheme.AddToScheme, cmscheme.AddToScheme,
		apiextensions.AddToScheme, apiregistration.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	configuration, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(util.RestConfigWithUserAgent(configuration, "cainjector"),
		ctrl.Options{
			Scheme:                        scheme,
			LeaderElection:                true,
			LeaderElectionNamespace:       *namespace,
			LeaderElectionID:              "cert-manager-cainjector-leader-election",
			LeaderElectionReleaseOnCancel: true,
			Metrics:                       metricsserver.Options{BindAddress: metricsAddress},
			// a cache of Secrets would hold all of the cluster's
			Client: client.Options{
				Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}},
			},
		})
	if err != nil {
		return err
	}
	kinds := map[string]bool{}
	for _, kind := range []string{
		"mutatingwebhookconfiguration", "validatingwebhookconfiguration",
		"apiservice", "customresourcedefinition",
	} {
		kinds[kind] = true
	}
	if err := cainjector.RegisterAllInjectors(ctx, manager, cainjector.SetupOptions{
		EnableCertificatesDataSource: true,
		EnabledReconcilersFor:        kinds,
	}); err != nil {
		return err
	}
	return manager.Start(ctx)
}
