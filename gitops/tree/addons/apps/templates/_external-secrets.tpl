{{/* Secrets of Kubernetes from a store outside. The stores are in addons/secret-stores. */}}
{{- define "values.external-secrets" -}}
{{- $irsa := dict "root" . "account" "external-secrets/external-secrets" -}}
installCRDs: true
replicaCount: 1
serviceAccount: {create: true, name: external-secrets}
{{- with include "irsa.envList" $irsa }}
extraEnv: {{- . | nindent 2 }}
extraVolumes:
  {{- include "irsa.volumes" $irsa | nindent 2 }}
extraVolumeMounts:
  {{- include "irsa.volumeMounts" $irsa | nindent 2 }}
{{- end }}
nodeSelector: &node {{ include "platformNode" . | fromYaml | toJson }}
resources: &resources
  requests: {cpu: 10m, memory: 48Mi}
  limits: {memory: 192Mi}
webhook: {nodeSelector: *node, resources: *resources}
certController: {nodeSelector: *node, resources: *resources}
{{- end -}}
