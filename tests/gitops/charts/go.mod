// Modules that hold charts of add-ons, for tests of the values that these get. Nothing is built.
module groundwork/tests/charts

go 1.24.0

require (
	github.com/external-secrets/external-secrets v1.3.2
	k8s.io/cloud-provider-aws v1.34.3
)
