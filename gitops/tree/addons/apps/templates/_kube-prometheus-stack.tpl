{{/* Prometheus with its operator, Alertmanager, Grafana, exporters. Alerts and dashboards are our
own, in addons/monitoring. */}}
{{- define "values.kube-prometheus-stack" -}}
{{- $node := include "platformNode" . | fromYaml | toJson -}}
{{- $small := `{requests: {cpu: 10m, memory: 48Mi}, limits: {memory: 192Mi}}` -}}
defaultRules: {create: false}
# kubeadm has these listen on the loopback alone; of etcd the API server tells
kubeControllerManager: {enabled: false}
kubeEtcd: {enabled: false}
kubeProxy: {enabled: false}
kubeScheduler: {enabled: false}

prometheusOperator:
  # rules are checked before they are in git; a webhook would be one more thing that can be away
  admissionWebhooks: {enabled: false}
  tls: {enabled: false}
  nodeSelector: {{ $node }}
  resources: {{ $small }}
  prometheusConfigReloader:
    resources: {requests: {cpu: 5m, memory: 24Mi}, limits: {memory: 64Mi}}

prometheus:
  prometheusSpec:
    image: {tag: v3.10.0}
    retention: 15d
    retentionSize: 40GB
    scrapeInterval: 30s
    evaluationInterval: 30s
    externalLabels: {cluster: {{ .Values.cluster.name }}, environment: {{ .Values.environment }}}
    # whoever makes one is heard, whatever its labels
    serviceMonitorSelectorNilUsesHelmValues: false
    podMonitorSelectorNilUsesHelmValues: false
    probeSelectorNilUsesHelmValues: false
    ruleSelectorNilUsesHelmValues: false
    scrapeConfigSelectorNilUsesHelmValues: false
    nodeSelector: {{ $node }}
    resources: {requests: {cpu: 200m, memory: 1Gi}, limits: {memory: 2Gi}}
    storageSpec:
      volumeClaimTemplate:
        spec:
          storageClassName: gp3
          accessModes: [ReadWriteOnce]
          resources: {requests: {storage: 50Gi}}

alertmanager:
  alertmanagerSpec:
    image: {tag: v0.28.1}
    nodeSelector: {{ $node }}
    resources: {{ $small }}
    # AlertmanagerConfigs of this namespace say where alerts go, those of all namespaces among them
    alertmanagerConfigMatcherStrategy: {type: None}
    storage:
      volumeClaimTemplate:
        spec:
          storageClassName: gp3
          accessModes: [ReadWriteOnce]
          resources: {requests: {storage: 2Gi}}

prometheus-node-exporter:
  image: {tag: v1.9.1}
  resources: {requests: {cpu: 10m, memory: 24Mi}, limits: {memory: 96Mi}}

kube-state-metrics:
  nodeSelector: {{ $node }}
  resources: {{ $small }}

grafana:
  # made by addons/secret-stores
  admin: {existingSecret: grafana-admin, userKey: username, passwordKey: password}
  defaultDashboardsEnabled: false
  sidecar:
    dashboards: {enabled: true, label: grafana_dashboard, searchNamespace: monitoring}
  nodeSelector: {{ $node }}
  resources: {requests: {cpu: 50m, memory: 128Mi}, limits: {memory: 384Mi}}
{{- end -}}
