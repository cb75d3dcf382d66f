{{/* Certificates inside the cluster: webhooks' and API services'. Those that browsers see are ACM's,
at the load balancer. */}}
{{- define "values.cert-manager" -}}
crds: {enabled: true, keep: false}
# Argo CD waits for the webhook by its readiness
startupapicheck: {enabled: false}
nodeSelector: &node {{ include "platformNode" . | fromYaml | toJson }}
resources: &resources
  requests: {cpu: 10m, memory: 48Mi}
  limits: {memory: 192Mi}
webhook: {nodeSelector: *node, resources: *resources}
cainjector: {nodeSelector: *node, resources: *resources}
# Prometheus finds it by addons/monitoring: this chart is there before the kinds for it
prometheus: {enabled: true, servicemonitor: {enabled: false}}
{{- end -}}
